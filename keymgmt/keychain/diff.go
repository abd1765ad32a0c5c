package keychain

import (
	"cmp"
	"slices"
)

// Change is one key that differs between two keychains, by CKN. Old is nil
// for an added key, New for a removed one.
type Change struct {
	Old, New *Key
	// CAK tells that both are there and their CAKs differ: the old
	// participant cannot go on under this name.
	CAK bool
}

// CKN names the key.
func (c Change) CKN() CKN {
	if c.New != nil {
		return c.New.CKN
	}
	return c.Old.CKN
}

// Diff lists what changes from old to new, in order of CKN. Either may be
// nil. FirstSeen and Origin are no difference: they say nothing of the key.
func Diff(old, new *Keychain) []Change {
	var out []Change
	if new != nil {
		for i := range new.Keys {
			n := &new.Keys[i]
			var o *Key
			if old != nil {
				o = old.Find(n.CKN)
			}
			if o == nil || !equal(o, n) {
				out = append(out, Change{Old: o, New: n, CAK: o != nil && !o.CAK.Equal(n.CAK)})
			}
		}
	}
	if old != nil {
		for i := range old.Keys {
			if o := &old.Keys[i]; new == nil || new.Find(o.CKN) == nil {
				out = append(out, Change{Old: o})
			}
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.CKN(), b.CKN()) })
	return out
}

// equal compares all that a participant depends on, the CAK in constant time.
func equal(a, b *Key) bool {
	return a.CKN == b.CKN && a.CAK.Equal(b.CAK) &&
		a.NotBefore.Equal(b.NotBefore) && a.Expires.Equal(b.Expires) &&
		a.ExpiresHard == b.ExpiresHard && a.Fallback == b.Fallback
}

// Equal tells whether both hold the same keys, PSKs and windows, in any order.
func Equal(a, b *Keychain) bool {
	return len(a.Keys) == len(b.Keys) && len(a.PSKs) == len(b.PSKs) && len(Diff(a, b)) == 0 && len(DiffPSKs(a, b)) == 0
}
