package course

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// OwnerTag is the tag of a pair in a vault that names who rotates.
const OwnerTag = "linkseal-owner"

// Pair is a CKN and CAK, or a PSK, as their store lists them. Nothing of it is
// secret.
type Pair struct {
	// ID names it in its store: the pair id in a vault, the CKN in hex in a
	// file; of a PSK its id in either.
	ID  string
	CKN keychain.CKN // empty where a list does not tell it, and of a PSK
	PSK bool
	keychain.Window
	Created  time.Time // by the store's clock; zero where it has none
	Owner    string    // empty: nobody's
	Fallback bool
	// Whole is false of a pair of which one half is missing or disabled.
	Whole bool
}

// Start is when the pair counts as new.
func (p *Pair) Start() time.Time {
	if !p.NotBefore.IsZero() {
		return p.NotBefore
	}
	return p.Created
}

// Order is a pair, or a PSK, that is to be written.
type Order struct {
	ID     string `json:"pair"` // 32 hex digits, random
	Owner  string `json:"owner,omitempty"`
	Octets int    `json:"octets"` // of the CAK: 16 or 32; of a PSK 32
	PSK    bool   `json:"psk,omitempty"`
	// Text has a PSK written as text, for peers that take no other.
	Text      bool      `json:"text,omitempty"`
	NotBefore time.Time `json:"not_before"`
	Expires   time.Time `json:"expires,omitzero"` // zero: never
}

// Window of the pair.
func (o *Order) Window() keychain.Window {
	return keychain.Window{NotBefore: o.NotBefore, Expires: o.Expires}
}

// Newest is the whole pair that started last, no fallback; nil if there is
// none. Of those that start at once it is the one created last, then the one
// with the greater ID, so that all who see the same pairs agree.
func Newest(pairs []Pair) *Pair {
	var best *Pair
	for i := range pairs {
		if p := &pairs[i]; p.Whole && !p.Fallback && (best == nil || later(p, best) > 0) {
			best = p
		}
	}
	return best
}

func later(a, b *Pair) int {
	return cmp.Or(a.Start().Compare(b.Start()), a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
}

// OwnedError says that somebody else rotates a keychain.
type OwnedError struct {
	Keychain, Owner, Pair string // whose tag the pair carries
	Self                  string
	PSK                   bool
}

func (e *OwnedError) Error() string {
	return fmt.Sprintf("keychain %s is rotated by %s, whose tag %s its newest %s %s carries, and this is %s; rotate there, or take it over from here: linkseal keys generate %s --take-over --config FILE writes a %s with this one's tag",
		e.Keychain, e.Owner, OwnerTag, noun(e.PSK), e.Pair, e.Self, e.Keychain, noun(e.PSK))
}

// Owned reports the owner if it is not self. An empty self stands for a store
// without owners.
func Owned(name string, pairs []Pair, self string) *OwnedError {
	n := Newest(pairs)
	if self == "" || n == nil || n.Owner == "" || n.Owner == self {
		return nil
	}
	return &OwnedError{Keychain: name, Owner: n.Owner, Pair: n.ID, Self: self, PSK: n.PSK}
}

func find(pairs []Pair, id string) *Pair {
	if i := slices.IndexFunc(pairs, func(p Pair) bool { return p.ID == id }); i >= 0 {
		return &pairs[i]
	}
	return nil
}
