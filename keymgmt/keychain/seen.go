package keychain

import "time"

// Seen remembers when each name of one keychain (a CKN, or a PSK's ID) was
// first seen in its source. It is what a key without not_before starts by,
// and it is kept over restarts, or a restart would change the preference.
type Seen map[string]time.Time

// Mark fills FirstSeen of all of c's keys: what is remembered, else now, which
// is then remembered. Names that are no longer in c are forgotten, so that a
// key that is put back counts as new. It tells whether s changed.
func (s Seen) Mark(c *Keychain, now time.Time) (changed bool) {
	now = now.Round(0).UTC() // no monotonic reading: it is compared and kept
	there := make(map[string]bool, c.Len())
	mark := func(name string) time.Time {
		there[name] = true
		at, ok := s[name]
		if !ok {
			at = now
			s[name], changed = at, true
		}
		return at
	}
	for i := range c.Keys {
		c.Keys[i].FirstSeen = mark(c.Keys[i].CKN.String())
	}
	for i := range c.PSKs {
		c.PSKs[i].FirstSeen = mark(c.PSKs[i].ID)
	}
	for name := range s {
		if !there[name] {
			delete(s, name)
			changed = true
		}
	}
	return changed
}
