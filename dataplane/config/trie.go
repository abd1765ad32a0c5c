package config

import "net/netip"

// trie is a set of prefixes of both families, which tells of another in as many
// steps as it has bits whether it overlaps one of them.
type trie struct{ four, six node }

type node struct {
	below [2]*node
	is    bool // a prefix ends here
}

func (t *trie) root(p netip.Prefix) *node {
	if p.Addr().Is4() {
		return &t.four
	}
	return &t.six
}

// add adds a prefix; host bits do not matter.
func (t *trie) add(p netip.Prefix) {
	n, octets := t.root(p), p.Addr().AsSlice()
	for i := range p.Bits() {
		if n.is {
			return // in another
		}
		next := &n.below[octets[i/8]>>(7-i%8)&1]
		if *next == nil {
			*next = &node{}
		}
		n = *next
	}
	n.is = true
}

// overlaps tells whether p is in one of the set, or has one in it.
func (t *trie) overlaps(p netip.Prefix) bool {
	n, octets := t.root(p), p.Addr().AsSlice()
	for i := range p.Bits() {
		if n.is {
			return true
		}
		if n = n.below[octets[i/8]>>(7-i%8)&1]; n == nil {
			return false
		}
	}
	return n.is || n.below[0] != nil || n.below[1] != nil
}
