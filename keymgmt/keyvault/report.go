package keyvault

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Report is how a source stands.
type Report struct {
	// Keys is how many keys are in use, Restored that none of them was read
	// from the vault yet: they are those of an earlier run.
	Keys     int  `json:"keys"`
	Restored bool `json:"restored,omitempty"`
	// LastSuccess is when the vault last answered all; LastPoll when it was
	// last asked, Next when it will be.
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastPoll    time.Time `json:"last_poll,omitzero"`
	Next        time.Time `json:"next_poll,omitzero"`
	// Faults are those that last, the oldest first.
	Faults  []FaultStatus `json:"faults,omitempty"`
	Refused []Refused     `json:"refused,omitempty"`
	// Polls and Failures count polls, and Begun the faults that began.
	Polls    uint64               `json:"polls"`
	Failures uint64               `json:"failures"`
	Begun    map[FaultKind]uint64 `json:"faults_begun,omitempty"`
}

// FaultStatus is a fault that lasts, or lasted.
type FaultStatus struct {
	Kind  FaultKind `json:"kind"`
	Text  string    `json:"text"` // as it was seen last
	Since time.Time `json:"since"`
	Polls uint64    `json:"polls"` // that saw it
}

// faults are those that last, so that each is told once: pure.
type faults struct {
	failing map[string]*FaultStatus // of polls that failed, by kind
	refused map[string]*FaultStatus // by what is refused
}

// failed notes a poll that failed. The faults of the failures before it last
// until a poll succeeds: a vault that fails in turns has one outage.
func (f *faults) failed(now time.Time, fault *Fault) (begun []FaultStatus) {
	return note(&f.failing, now, string(fault.Kind), fault.Kind, fault.Text)
}

// succeeded ends the faults of failures.
func (f *faults) succeeded() (ended []FaultStatus) {
	ended = sorted(f.failing)
	clear(f.failing)
	return ended
}

// listed notes what is refused now; what was and is not any more has ended.
func (f *faults) listed(now time.Time, refused []Refused) (begun, ended []FaultStatus) {
	seen := map[string]bool{}
	for _, r := range refused {
		kind := RefusedPair
		if r.Lying {
			kind = Lying
		}
		text := r.Version
		switch {
		case r.Pair != "":
			text = "pair " + r.Pair
		case r.PSK != "":
			text = "PSK " + r.PSK
		}
		text = cmp.Or(text, "keys") + ": " + r.Why
		if seen[text] {
			continue
		}
		seen[text] = true
		begun = append(begun, note(&f.refused, now, text, kind, text)...)
	}
	for key, s := range f.refused {
		if !seen[key] {
			ended = append(ended, *s)
			delete(f.refused, key)
		}
	}
	return begun, ended
}

func note(in *map[string]*FaultStatus, now time.Time, key string, kind FaultKind, text string) []FaultStatus {
	if *in == nil {
		*in = map[string]*FaultStatus{}
	}
	s := (*in)[key]
	if s != nil {
		s.Text = text
		s.Polls++
		return nil
	}
	s = &FaultStatus{Kind: kind, Text: text, Since: now, Polls: 1}
	(*in)[key] = s
	return []FaultStatus{*s}
}

// lasting are all that last, the oldest first.
func (f *faults) lasting() []FaultStatus {
	all := map[string]*FaultStatus{}
	maps.Copy(all, f.failing)
	for key, s := range f.refused {
		all["refused "+key] = s
	}
	return sorted(all)
}

func sorted(m map[string]*FaultStatus) []FaultStatus {
	var out []FaultStatus
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, *m[key])
	}
	slices.SortStableFunc(out, func(a, b FaultStatus) int { return a.Since.Compare(b.Since) })
	return out
}
