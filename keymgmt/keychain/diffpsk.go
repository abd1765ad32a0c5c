package keychain

import (
	"cmp"
	"slices"
)

// PSKChange is one PSK that differs between two keychains, by its id. Old is
// nil for an added PSK, New for a removed one.
type PSKChange struct {
	Old, New *PSK
}

// ID names the PSK.
func (c PSKChange) ID() string {
	if c.New != nil {
		return c.New.ID
	}
	return c.Old.ID
}

// DiffPSKs lists what changes from old to new, in order of id, as Diff does for
// keys: what the tunnels use of a PSK, and not FirstSeen, Origin and Version.
func DiffPSKs(old, new *Keychain) []PSKChange {
	if old == nil {
		old = &Keychain{}
	}
	if new == nil {
		new = &Keychain{}
	}
	var out []PSKChange
	for i := range new.PSKs {
		n := &new.PSKs[i]
		if o := old.FindPSK(n.ID); o == nil || !equalPSK(o, n) {
			out = append(out, PSKChange{Old: o, New: n})
		}
	}
	for i := range old.PSKs {
		if o := &old.PSKs[i]; new.FindPSK(o.ID) == nil {
			out = append(out, PSKChange{Old: o})
		}
	}
	slices.SortFunc(out, func(a, b PSKChange) int { return cmp.Compare(a.ID(), b.ID()) })
	return out
}

// equalPSK compares all that a tunnel depends on, the secret in constant time.
func equalPSK(a, b *PSK) bool {
	return a.ID == b.ID && a.Secret.Equal(b.Secret) && a.Text == b.Text && a.Certificate == b.Certificate &&
		a.NotBefore.Equal(b.NotBefore) && a.Expires.Equal(b.Expires) &&
		a.ExpiresHard == b.ExpiresHard && a.Fallback == b.Fallback
}
