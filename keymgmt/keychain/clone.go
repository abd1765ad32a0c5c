package keychain

import "slices"

// Clone is a second keychain whose secrets are zeroed on their own; nil of nil.
func (c *Keychain) Clone() *Keychain {
	if c == nil {
		return nil
	}
	n := &Keychain{Keys: slices.Clone(c.Keys), PSKs: slices.Clone(c.PSKs)}
	for i := range n.Keys {
		n.Keys[i].CAK = n.Keys[i].CAK.Clone()
	}
	for i := range n.PSKs {
		n.PSKs[i].Secret = n.PSKs[i].Secret.Clone()
	}
	return n
}
