package suite

import (
	"fmt"
	"strings"
)

// Protocol is what a proposal is for.
type Protocol uint8

const (
	IKE Protocol = iota
	ESP
)

func (p Protocol) String() string { return [...]string{"IKE", "ESP"}[p] }

// Form is how a proposal of each protocol looks, for messages.
func (p Protocol) Form() string {
	if p == IKE {
		return "encryption[-integrity]-prf-key exchange, as aes256gcm16-prfsha384-ecp384"
	}
	return "encryption[-integrity][-key exchange][-esn], as aes256gcm16-ecp384"
}

// Proposal is a set of transforms of which the peers pick one of each kind.
type Proposal struct {
	Protocol   Protocol
	Transforms []Transform
}

// maxProposal bounds what is read, in octets.
const maxProposal = 255

// Parse reads one proposal: keywords with - between them.
func Parse(protocol Protocol, text string) (Proposal, error) {
	p := Proposal{Protocol: protocol}
	fail := func(format string, args ...any) (Proposal, error) {
		return Proposal{}, fmt.Errorf("%s proposal %q: %s; accepted: %s", protocol, text, fmt.Sprintf(format, args...), protocol.Form())
	}
	if len(text) > maxProposal {
		return Proposal{}, fmt.Errorf("an %s proposal of %d octets; accepted: up to %d", protocol, len(text), maxProposal)
	}
	if text == "" {
		return fail("empty")
	}
	for word := range strings.SplitSeq(strings.ToLower(text), "-") {
		if word == "default" {
			return fail("default leaves the choice to charon, weak suites with it")
		}
		if to, ok := aliases[word]; ok {
			word = to
		}
		t, ok := transforms[word]
		if !ok {
			return fail("%q is no algorithm", word)
		}
		for _, have := range p.Transforms {
			if have.Name == t.Name {
				return fail("%s is there twice", word)
			}
		}
		p.Transforms = append(p.Transforms, t)
	}
	switch ciphers := p.of(Encryption); {
	case len(ciphers) == 0:
		return fail("no encryption")
	case mixed(ciphers):
		return fail("%s and %s in one proposal; each needs one of its own", ciphers[0].Name, ciphers[len(ciphers)-1].Name)
	case ciphers[0].AEAD && len(p.of(Integrity)) > 0:
		return fail("%s has its own integrity: %s does not go with it", ciphers[0].Name, p.of(Integrity)[0].Name)
	case !ciphers[0].AEAD && len(p.of(Integrity)) == 0:
		return fail("%s has no integrity of its own and needs one, as sha256", ciphers[0].Name)
	case protocol == IKE && len(p.of(KeyExchange)) == 0:
		return fail("no key exchange, as ecp384")
	case protocol == IKE && ciphers[0].AEAD && len(p.of(PRF)) == 0:
		return fail("no PRF, as prfsha384, which %s needs in IKE", ciphers[0].Name)
	case protocol == IKE && len(p.of(Sequence)) > 0:
		return fail("%s is of ESP", p.of(Sequence)[0].Name)
	case protocol == ESP && len(p.of(PRF)) > 0:
		return fail("%s is of IKE", p.of(PRF)[0].Name)
	}
	return p, nil
}

// mixed tells that some ciphers are AEAD and others not, which a proposal
// cannot hold (RFC 5282 8).
func mixed(ciphers []Transform) bool {
	for _, c := range ciphers {
		if c.AEAD != ciphers[0].AEAD {
			return true
		}
	}
	return false
}

func (p Proposal) of(k Kind) []Transform {
	var of []Transform
	for _, t := range p.Transforms {
		if t.Kind == k {
			of = append(of, t)
		}
	}
	return of
}

// String is the proposal in strongSwan's words, as charon takes it.
func (p Proposal) String() string {
	names := make([]string, len(p.Transforms))
	for i, t := range p.Transforms {
		names[i] = t.Name
	}
	return strings.Join(names, "-")
}

// PFS tells whether each key of ESP has a key exchange of its own.
func (p Proposal) PFS() bool { return len(p.of(KeyExchange)) > 0 }

// ESN tells whether extended sequence numbers may be agreed on.
func (p Proposal) ESN() bool {
	for _, t := range p.of(Sequence) {
		if t.Name == "esn" {
			return true
		}
	}
	return false
}

// WithoutESN is p with 32-bit sequence numbers alone.
func (p Proposal) WithoutESN() Proposal {
	q := Proposal{Protocol: p.Protocol}
	for _, t := range p.Transforms {
		if t.Kind != Sequence {
			q.Transforms = append(q.Transforms, t)
		}
	}
	return q
}

// Overhead is the most that ESP in tunnel mode adds to a packet, in octets:
// outer IP, UDP where encapsulated, SPI and sequence number, IV, padding with
// its trailer, ICV (RFC 4303 2).
func (p Proposal) Overhead(ipv6, encapsulated bool) int {
	outer := 20
	if ipv6 {
		outer = 40
	}
	if encapsulated {
		outer += 8
	}
	most := 0
	for _, c := range p.of(Encryption) {
		icv := c.ICV
		for _, m := range p.of(Integrity) {
			icv = max(icv, m.ICV)
		}
		most = max(most, 8+c.IV+2+c.Block-1+icv)
	}
	return outer + most
}
