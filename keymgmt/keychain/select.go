package keychain

import "time"

// Choice is a key and its place in time.
type Choice struct {
	*Key
	State State
}

// Selection answers which keys have a participant at one moment.
type Selection struct {
	// Active are the keys inside their window, the preferred first.
	Active []*Key
	// All are all keys in order of preference, each with its state.
	All []Choice
	// Next is when Active next changes; zero if time alone never changes it.
	Next time.Time
}

// Select picks the keys that are inside their window at now. Its result
// points into c.
func (c *Keychain) Select(now time.Time) Selection {
	s := Selection{All: make([]Choice, 0, len(c.Keys))}
	for _, k := range c.Sorted() {
		state := k.State(now)
		s.All = append(s.All, Choice{k, state})
		var edge time.Time
		switch state {
		case Active:
			s.Active = append(s.Active, k)
			edge = k.Expires
		case NotYet:
			edge = k.NotBefore
		}
		if !edge.IsZero() && (s.Next.IsZero() || edge.Before(s.Next)) {
			s.Next = edge
		}
	}
	return s
}

// State tells how the key named ckn stands; false if it is not in the
// keychain that was selected from.
func (s *Selection) State(ckn CKN) (State, bool) {
	for _, c := range s.All {
		if c.CKN == ckn {
			return c.State, true
		}
	}
	return 0, false
}
