package keyvault

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// Refused is a pair, a PSK or a certificate, or a version without a pair, that is not used as
// the vault has it.
type Refused struct {
	Pair    string `json:"pair,omitempty"`
	PSK     string `json:"psk,omitempty"`     // its id
	Version string `json:"version,omitempty"` // of one without a pair, or of a certificate
	Why     string `json:"why"`               // with the remedy
	// Lying tells that an honest vault cannot have it so.
	Lying bool `json:"lying,omitempty"`
	// Held tells that the pair stays in use as it was before.
	Held bool `json:"held,omitempty"`
}

// maxRefused is how many are told: a log and a status have an end, whatever a
// vault lists.
const maxRefused = 32

// few are the first maxRefused of all, lies first, then what is of a pair, and
// how many more there are.
func few(all []Refused) []Refused {
	if len(all) <= maxRefused {
		return all
	}
	rank := func(r Refused) int {
		switch {
		case r.Lying:
			return 0
		case r.Pair+r.PSK != "":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(all, func(a, b Refused) int { return cmp.Compare(rank(a), rank(b)) })
	return append(all[:maxRefused:maxRefused], Refused{Why: fmt.Sprintf("%d more are refused; disable what is not of this keychain", len(all)-maxRefused)})
}

// pinned names the enabled versions of a complete group.
func (g *group) pinned() *keychain.Pinned {
	p := &keychain.Pinned{Pair: g.id}
	for _, r := range g.members() {
		switch r.Kind {
		case CAK:
			p.CAK = r.ID
		case CKN:
			p.CKN = r.ID
		case PSK, Certificate:
			p.PSK = r.ID
		}
	}
	return p
}

// state is what a source knows: pure, so that a test can feed it any vault.
type state struct {
	origin string             // for messages: the vault and its secrets
	chain  *keychain.Keychain // the last good; nil: none yet
	values map[Ref]*Value
	// doubted are values that the vault is to show again: those that were
	// not fetched by this process, and those about which it lied.
	doubted map[Ref]bool
	lies    map[Ref]bool // what it shows now is another value
}

func newState(origin string) *state {
	return &state{origin: origin, values: map[Ref]*Value{}, doubted: map[Ref]bool{}, lies: map[Ref]bool{}}
}

// restore takes a keychain of earlier for the last good one. Its values are
// asked for once more: they must be the same.
func (s *state) restore(c *keychain.Keychain) {
	s.chain = c.Clone()
	keep := func(r Ref, octets *secret.Key, text bool) {
		if r.ID != "" {
			s.values[r], s.doubted[r] = &Value{Ref: r, Octets: octets, Text: text}, true
		}
	}
	for i := range c.Keys {
		k := &c.Keys[i]
		keep(Ref{CAK, k.Pinned.CAK}, k.CAK.Clone(), false)
		keep(Ref{CKN, k.Pinned.CKN}, secret.New([]byte(k.CKN)), false)
	}
	for i := range c.PSKs {
		keep(refOf(&c.PSKs[i]), c.PSKs[i].Secret.Clone(), c.PSKs[i].Text)
	}
}

// have are the versions that need not be fetched.
func (s *state) have() []Ref {
	var refs []Ref
	for r := range s.values {
		if !s.doubted[r] {
			refs = append(refs, r)
		}
	}
	slices.SortFunc(refs, func(a, b Ref) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return refs
}

// take makes an answer the last good keychain, as far as it is good. changed
// tells that the keychain is another than before. A fault tells that there is
// not one good pair; then the keychain is the former. It takes the values of a.
func (s *state) take(a *Answer, now time.Time) (changed bool, refused []Refused, fault *Fault) {
	s.learn(a)
	t := taking{state: s, now: now, old: s.chain, new: &keychain.Keychain{}, byRef: map[Ref]Version{}, again: map[Ref]bool{}}
	if t.old == nil {
		t.old = &keychain.Keychain{}
	}
	t.build(t.list(a.Versions))
	refused = few(t.named())
	defer s.forget(wanted(a.Versions, nil, now), t.again)
	if t.new.Len() == 0 {
		return false, refused, faultf(NoKeys, "%s has no %s that can be used; %s", s.origin, t.noun(), t.remedy())
	}
	changed = s.chain == nil || !same(s.chain, t.new)
	s.chain.Zero()
	s.chain = t.new
	return changed, refused, nil
}

// learn keeps new values. One that differs from what the version had before
// is not kept.
func (s *state) learn(a *Answer) {
	for i := range a.Values {
		v := &a.Values[i]
		old := s.values[v.Ref]
		if old == nil {
			s.values[v.Ref] = v
			continue
		}
		if old.Octets.Equal(v.Octets) && old.Text == v.Text && old.Wrong == v.Wrong {
			delete(s.lies, v.Ref)
			delete(s.doubted, v.Ref)
		} else {
			s.lies[v.Ref], s.doubted[v.Ref] = true, true
		}
		v.Octets.Zero()
	}
}

// forget drops the values of versions that are not wanted any more (disabled,
// no longer listed, of a pair that is over) and those to get again, but for those
// of the keychain.
func (s *state) forget(wanted []Ref, again map[Ref]bool) {
	keep := map[Ref]bool{}
	for _, r := range wanted {
		keep[r] = !again[r]
	}
	if s.chain != nil {
		for r := range pins(s.chain) {
			keep[r] = true
		}
	}
	for r, v := range s.values {
		if !keep[r] {
			v.Octets.Zero()
			delete(s.values, r)
			delete(s.doubted, r)
			delete(s.lies, r)
		}
	}
}

// zero zeroes all that is held.
func (s *state) zero() {
	s.chain.Zero()
	for _, v := range s.values {
		v.Octets.Zero()
	}
	*s = *newState(s.origin)
}

// refOf is the version that p is made of.
func refOf(p *keychain.PSK) Ref {
	if p.Certificate {
		return Ref{Certificate, p.Version}
	}
	return Ref{PSK, p.Version}
}

// pins are the versions that c's keys are made of, with their pair ids; of a
// PSK, its id.
func pins(c *keychain.Keychain) map[Ref]string {
	p := map[Ref]string{}
	for i := range c.Keys {
		k := &c.Keys[i].Pinned
		p[Ref{CAK, k.CAK}], p[Ref{CKN, k.CKN}] = k.Pair, k.Pair
	}
	for i := range c.PSKs {
		p[refOf(&c.PSKs[i])] = c.PSKs[i].ID
	}
	delete(p, Ref{Kind: CAK})
	delete(p, Ref{Kind: CKN})
	delete(p, Ref{Kind: PSK})
	delete(p, Ref{Kind: Certificate})
	return p
}

// same tells whether nothing differs, the pinned versions included.
func same(a, b *keychain.Keychain) bool {
	if !keychain.Equal(a, b) {
		return false
	}
	pa, pb := pins(a), pins(b)
	for r, id := range pa {
		if pb[r] != id {
			return false
		}
	}
	return len(pa) == len(pb)
}
