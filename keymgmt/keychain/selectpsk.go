package keychain

import (
	"slices"
	"strings"
	"time"
)

// PSKChoice is a PSK and its place in time.
type PSKChoice struct {
	*PSK
	State State
}

// PSKSelection answers which PSK a tunnel uses at one moment.
type PSKSelection struct {
	// Preferred is the newest started inside its window, a fallback only
	// where there is no other; nil if none is inside.
	Preferred *PSK
	// All are all PSKs in order of preference, each with its state.
	All []PSKChoice
	// Next is when a state next changes; zero if time alone changes none.
	Next time.Time
}

// SelectPSKs picks the PSK to use at now. Its result points into c.
//
// That a tunnel's PSK is not Preferred, or not in All, any more is no reason
// to let go of it: it is used until the tunnel is live under another, as a CAK
// is. Only Cut is one.
func (c *Keychain) SelectPSKs(now time.Time) PSKSelection {
	s := PSKSelection{All: make([]PSKChoice, 0, len(c.PSKs))}
	for _, p := range c.SortedPSKs() {
		state := p.State(now)
		s.All = append(s.All, PSKChoice{p, state})
		var edge time.Time
		switch state {
		case Active:
			if s.Preferred == nil {
				s.Preferred = p
			}
			edge = p.Expires
		case NotYet:
			edge = p.NotBefore
		}
		if !edge.IsZero() && (s.Next.IsZero() || edge.Before(s.Next)) {
			s.Next = edge
		}
	}
	return s
}

// Find returns the PSK of that id with its state; false if there is none.
func (s *PSKSelection) Find(id string) (PSKChoice, bool) {
	i := slices.IndexFunc(s.All, func(c PSKChoice) bool { return c.ID == id })
	if i < 0 {
		return PSKChoice{}, false
	}
	return s.All[i], true
}

// Cut tells that the PSK may not be used even while it carries traffic: it is
// expired, and expires_hard.
func (c PSKChoice) Cut() bool { return c.State == Expired && c.ExpiresHard }

// SortedPSKs returns the PSKs in order of preference, whatever their window.
func (c *Keychain) SortedPSKs() []*PSK {
	psks := make([]*PSK, len(c.PSKs))
	for i := range c.PSKs {
		psks[i] = &c.PSKs[i]
	}
	slices.SortFunc(psks, PreferPSK)
	return psks
}

// FindPSK returns the PSK of that id, nil if there is none.
func (c *Keychain) FindPSK(id string) *PSK {
	for i := range c.PSKs {
		if c.PSKs[i].ID == id {
			return &c.PSKs[i]
		}
	}
	return nil
}

// Fingerprint is that of the octets; empty of text, which may be a word, and
// could be searched for by it.
func (p *PSK) Fingerprint() string {
	if p.Text {
		return ""
	}
	return p.Secret.Fingerprint()
}

// start is what "the newest started" goes by.
func (p *PSK) start() time.Time {
	if !p.NotBefore.IsZero() {
		return p.NotBefore
	}
	return p.FirstSeen
}

// PreferPSK orders PSKs as Prefer orders keys: no fallback before a fallback,
// the latest start first, of equal starts the greater id, octet by octet.
func PreferPSK(a, b *PSK) int {
	if a.Fallback != b.Fallback {
		if b.Fallback {
			return -1
		}
		return 1
	}
	if c := b.start().Compare(a.start()); c != 0 {
		return c
	}
	return strings.Compare(b.ID, a.ID)
}
