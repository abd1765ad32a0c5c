package suite

import (
	"fmt"
	"slices"
	"strings"
)

// Weaknesses are the reasons not to use p, one a transform; none: it may be
// used.
func (p Proposal) Weaknesses() []string {
	var why []string
	for _, t := range p.Transforms {
		if t.Weak != "" {
			why = append(why, t.Name+": "+t.Weak)
		}
	}
	return why
}

// Azure's own lifetimes of a gateway's custom policy, against which ours are
// shorter (facts of vpn-gateway-about-compliance-crypto).
const (
	AzureIKESeconds   = 28_800
	AzureChildSeconds = 27_000
	AzureChildKB      = 102_400_000
)

// Azure holds p against what a gateway's custom policy can be. policy is how
// p is written there; an error says which transform has no place in it, and
// which have.
func (p Proposal) Azure() (policy string, err error) {
	refuse := func(t Transform, accepted string) error {
		return fmt.Errorf("a gateway of Azure has no %s as %s of %s; accepted: %s", t.Name, t.Kind, p.Protocol, accepted)
	}
	name := func(t Transform) string {
		if p.Protocol == IKE {
			return t.AzureIKE
		}
		return t.AzureESP
	}
	for _, kind := range []Kind{Encryption, Integrity, PRF, KeyExchange} {
		ts := p.of(kind)
		if len(ts) > 1 {
			return "", fmt.Errorf("a policy of Azure names one %s, and %s has %d; accepted: one", kind, p, len(ts))
		}
		for _, t := range ts {
			if name(t) == "" {
				return "", refuse(t, p.accepts(kind))
			}
		}
	}
	if p.ESN() {
		return "", fmt.Errorf("Azure has no extended sequence numbers; accepted: %s", p.WithoutESN())
	}
	cipher := p.of(Encryption)[0]
	words := []string{name(cipher)}
	switch mac, prf := p.of(Integrity), p.of(PRF); {
	case p.Protocol == ESP && cipher.AEAD:
		words = append(words, name(cipher)) // encryption and integrity must have one name
	case p.Protocol == ESP:
		words = append(words, name(mac[0]))
	case cipher.AEAD:
		words = append(words, name(prf[0]))
	case len(prf) > 0 && name(prf[0]) != name(mac[0]):
		return "", fmt.Errorf("Azure uses one hash as integrity and PRF of IKE, and %s has %s and %s; accepted: one", p, mac[0].Name, prf[0].Name)
	default:
		words = append(words, name(mac[0]))
	}
	if ke := p.of(KeyExchange); len(ke) > 0 {
		words = append(words, name(ke[0]))
	} else {
		words = append(words, "None")
	}
	return strings.Join(words, "/"), nil
}

// accepts lists what Azure has of a kind, in strongSwan's words, the weak left
// out.
func (p Proposal) accepts(kind Kind) string {
	var names []string
	for _, t := range transforms {
		has := t.AzureESP
		if p.Protocol == IKE {
			has = t.AzureIKE
		}
		if t.Kind == kind && has != "" && t.Weak == "" {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
