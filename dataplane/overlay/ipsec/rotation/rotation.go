// Package rotation decides which PSKs charon has loaded, and when a tunnel's
// members are authenticated anew, so that a change of PSK loses nothing and the
// old one is refused when it is done. Pure: it is told the time.
//
// Charon makes its own AUTH payload with the PSK that was loaded last and
// accepts a peer's under any that is loaded. So both are loaded, ours the new
// one; each member is reauthenticated, make before break, until it is known of
// every one that the peer has accepted the new PSK; then the old one goes. A peer
// whose time has not come yet refuses, the old IKE_SA stays as it is, and we try
// again.
//
// That the peer has the new PSK is known where we began the IKE_SA while it was
// ours, or where there was no other. Where the peer began it while both were
// loaded it may have been either: we begin another ourselves.
package rotation

import (
	"slices"
	"time"
)

// PSK is one of the keychain's, in order of preference.
type PSK struct {
	ID       string // other octets have another
	Active   bool   // inside its window
	Cut      bool   // may not be used even while it carries traffic
	Fallback bool
}

// SA is an IKE_SA of a member that is up. IDs grow.
type SA struct {
	Member    int
	ID        uint32
	Initiator bool // we began it
}

// Kind is what to do.
type Kind uint8

const (
	Load   Kind = iota // the PSK of that ID; it is the last one loaded then
	Unload             // the PSK of that ID
	Reauth             // make the IKE_SA anew
	End                // the IKE_SA: its PSK is cut
)

// Action is one thing to do, in order.
type Action struct {
	Kind   Kind
	ID     string // of the PSK
	Member int
	SA     uint32
}

const (
	// grace is left to a peer that began the IKE_SA to begin the next one too,
	// from when the PSK became ours.
	grace = 15 * time.Second
	// settle is from an IKE_SA that the peer began to ours.
	settle = 5 * time.Second
	// patience is how long one attempt may take.
	patience = 20 * time.Second
	minRetry = 5 * time.Second
	maxRetry = 2 * time.Minute
)

// State is of one tunnel. The zero State has loaded nothing.
type State struct {
	loaded []string // in order of loading: the last is ours
	since  time.Time
	// mark: an IKE_SA of a greater number was begun after ours was loaded.
	mark    uint32
	unmarks bool // the next look sets mark
	members map[int]*member
}

type member struct {
	sa       uint32
	key      string // under which it was made; "": not known
	seen     time.Time
	began    bool      // we did
	next     time.Time // not before: the next attempt
	tried    time.Time // the attempt under way; zero: none
	failures int
}

// Adopt says what charon has loaded already. Of what is established only one
// thing is known: if there is one PSK, that it was made under it.
func (s *State) Adopt(ids []string) {
	s.loaded, s.unmarks = slices.Clone(ids), true
}

// Lost: charon is another, which has nothing.
func (s *State) Lost() { *s = State{} }

// Renumbered: an IKE_SA has new keys and another number.
func (s *State) Renumbered(old, now uint32) {
	for _, m := range s.members {
		if m.sa == old {
			m.sa = now
		}
	}
}

// Key is the PSK under which a member's IKE_SA was made; "" if not known.
func (s *State) Key(n int) string {
	if m := s.members[n]; m != nil {
		return m.key
	}
	return ""
}

// Pending tells that a change is under way, and since when.
func (s *State) Pending() (id string, since time.Time, failures int) {
	ours := s.ours()
	for _, m := range s.members {
		if m.key != ours && m.failures > failures {
			failures = m.failures
		}
	}
	return ours, s.since, failures
}

func (s *State) ours() string {
	if len(s.loaded) == 0 {
		return ""
	}
	return s.loaded[len(s.loaded)-1]
}

// Step takes the keychain and what is up now, after Load has been carried out,
// and says what to do. count is how many members the tunnel has.
func (s *State) Step(now time.Time, psks []PSK, sas []SA, count int) []Action {
	s.see(now, sas)
	out := s.load(now, psks)
	if len(out) == 0 {
		out = s.unload(psks, count)
	}
	return append(out, s.renew(now)...)
}

// see notes which IKE_SA each member has: of several the newest.
func (s *State) see(now time.Time, sas []SA) {
	if s.members == nil {
		s.members = map[int]*member{}
	}
	if s.unmarks {
		s.unmarks = false
		for _, sa := range sas {
			s.mark = max(s.mark, sa.ID)
		}
	}
	newest := map[int]SA{}
	for _, sa := range sas {
		if have, ok := newest[sa.Member]; !ok || sa.ID > have.ID {
			newest[sa.Member] = sa
		}
	}
	for n := range s.members {
		if _, ok := newest[n]; !ok {
			delete(s.members, n)
		}
	}
	for n, sa := range newest {
		if m := s.members[n]; m != nil && m.sa == sa.ID {
			continue
		}
		m := &member{sa: sa.ID, seen: now, began: sa.Initiator}
		switch one := s.one(); {
		case one != "":
			m.key = one
		case sa.Initiator && sa.ID > s.mark:
			m.key = s.ours()
		}
		s.members[n] = m
	}
}

// one is the only PSK that charon has, and so had for whatever is up; "" if
// there are several.
func (s *State) one() string {
	if len(s.loaded) == 1 {
		return s.loaded[0]
	}
	return ""
}

// load says what charon lacks: the preferred one last.
func (s *State) load(now time.Time, psks []PSK) (out []Action) {
	i := slices.IndexFunc(psks, func(p PSK) bool { return p.Active })
	if i < 0 {
		return nil // none started, or all over: what is loaded stays
	}
	preferred := psks[i].ID
	if s.ours() == preferred {
		return nil
	}
	for _, p := range slices.Backward(psks) {
		if p.Active && p.ID != preferred && !slices.Contains(s.loaded, p.ID) {
			out = append(out, Action{Kind: Load, ID: p.ID})
			s.loaded = append(s.loaded, p.ID)
		}
	}
	s.loaded = slices.DeleteFunc(s.loaded, func(id string) bool { return id == preferred })
	s.loaded = append(s.loaded, preferred)
	s.since, s.unmarks = now, true
	return append(out, Action{Kind: Load, ID: preferred})
}

// unload says what nothing needs any more: once every member is known to be
// under ours, all but fallbacks; and at once what is cut.
func (s *State) unload(psks []PSK, count int) (out []Action) {
	done := len(s.members) == count
	for _, m := range s.members {
		done = done && m.key == s.ours()
	}
	state := func(id string) PSK {
		if i := slices.IndexFunc(psks, func(p PSK) bool { return p.ID == id }); i >= 0 {
			return psks[i]
		}
		return PSK{ID: id}
	}
	ours := s.ours()
	for _, id := range slices.Clone(s.loaded) {
		p := state(id)
		gone := p.Cut || done && id != ours && !(p.Fallback && p.Active)
		if !gone {
			continue
		}
		s.loaded = slices.DeleteFunc(s.loaded, func(have string) bool { return have == id })
		out = append(out, Action{Kind: Unload, ID: id})
		if !p.Cut {
			continue
		}
		for n, m := range s.members {
			if m.key == id {
				out = append(out, Action{Kind: End, Member: n, SA: m.sa, ID: id})
			}
		}
	}
	return out
}

// renew says which members are reauthenticated now.
func (s *State) renew(now time.Time) (out []Action) {
	ours := s.ours()
	if ours == "" || s.unmarks {
		return nil
	}
	for n, m := range s.members {
		if m.key == ours {
			continue
		}
		if !m.tried.IsZero() {
			if now.Sub(m.tried) < patience {
				continue
			}
			s.failed(now, m)
		}
		if now.Before(s.due(m)) {
			continue
		}
		m.tried = now
		out = append(out, Action{Kind: Reauth, Member: n, SA: m.sa, ID: ours})
	}
	slices.SortFunc(out, func(a, b Action) int { return a.Member - b.Member })
	return out
}

// due is when a member is next reauthenticated by us.
func (s *State) due(m *member) time.Time {
	due := m.next
	if m.began {
		return due
	}
	wait := s.since.Add(grace)
	if m.seen.After(s.since) {
		wait = m.seen.Add(settle)
	}
	if wait.After(due) {
		return wait
	}
	return due
}

// Failed: the peer refused the attempt of a member, or did not answer.
func (s *State) Failed(now time.Time, n int) {
	if m := s.members[n]; m != nil && !m.tried.IsZero() {
		s.failed(now, m)
	}
}

func (s *State) failed(now time.Time, m *member) {
	m.tried = time.Time{}
	m.next = now.Add(min(minRetry<<min(m.failures, 10), maxRetry))
	m.failures++
}

// Next is when Step is due though nothing happens; zero: then not.
func (s *State) Next() (next time.Time) {
	for _, m := range s.members {
		if m.key == s.ours() {
			continue
		}
		at := s.due(m)
		if !m.tried.IsZero() {
			at = m.tried.Add(patience)
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}
