package wireguard

import (
	"crypto/rand"
	"fmt"

	"github.com/linkseal/linkseal/dataplane/overlay/wireguard/rollover"
	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// ring has the PSKs of one peer by name: a fingerprint, which differs if the
// octets do.
type ring struct {
	held map[string]held
	// inside are those in their window, the preferred first.
	inside []string
	// problem is a PSK that cannot be used; "" if there is none.
	problem string
}

type held struct {
	id  string
	psk *secret.Key
}

// add keeps a clone.
func (r *ring) add(id string, psk *secret.Key) (name string) {
	name = psk.Fingerprint()
	if h, ok := r.held[name]; ok {
		h.id = id
		r.held[name] = h
		return name
	}
	if r.held == nil {
		r.held = map[string]held{}
	}
	r.held[name] = held{id, psk.Clone()}
	return name
}

// take replaces what the keychain holds, and says it in rollover's words. What
// left it is kept until forget.
func (r *ring) take(s keychain.PSKSelection) (k rollover.Keys) {
	r.problem = ""
	if len(s.All) == 0 {
		k.Lapsed = r.all() // an empty source changes nothing
	}
	for _, c := range s.All {
		switch {
		case c.Secret.Len() != identity.Size:
			r.problem = fmt.Sprintf("PSK %q has %d octets; accepted: %d, as psk: of 64 hex digits", c.ID, c.Secret.Len(), identity.Size)
		case c.Cut():
			k.Cut = append(k.Cut, c.Secret.Fingerprint())
		case c.State == keychain.Active:
			k.Usable = append(k.Usable, r.add(c.ID, c.Secret))
		case r.held[c.Secret.Fingerprint()].psk != nil:
			// Outside its window, and maybe in use: its name may have changed.
			k.Lapsed = append(k.Lapsed, r.add(c.ID, c.Secret))
		}
	}
	r.inside = k.Usable
	return k
}

// all names what is held, and none.
func (r *ring) all() []string {
	names := []string{""}
	for name := range r.held {
		if name != rollover.Nobody {
			names = append(names, name)
		}
	}
	return names
}

// find is the name of the PSK that has k's octets, of the keychain or held.
func (r *ring) find(k *secret.Key) (string, bool) {
	for name, h := range r.held {
		if h.psk.Equal(k) {
			return name, true
		}
	}
	return "", false
}

// get is the PSK of a name; nil, and no PSK, of the empty one. Nobody's is made
// anew each time that it is wanted first.
func (r *ring) get(name string) (*secret.Key, error) {
	if name == "" {
		return nil, nil
	}
	if h, ok := r.held[name]; ok {
		return h.psk, nil
	}
	if name != rollover.Nobody {
		return nil, fmt.Errorf("PSK %s is not held", name)
	}
	psk, err := secret.Random(rand.Reader, identity.Size)
	if err != nil {
		return nil, err
	}
	if r.held == nil {
		r.held = map[string]held{}
	}
	r.held[name] = held{"", psk}
	return psk, nil
}

// id names a PSK as its source does.
func (r *ring) id(name string) string { return r.held[name].id }

// forget zeroes what is not needed any more.
func (r *ring) forget(needed func(name string) bool) {
	for name, h := range r.held {
		if !needed(name) {
			h.psk.Zero()
			delete(r.held, name)
		}
	}
}
