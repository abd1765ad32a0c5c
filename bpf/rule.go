package bpf

import (
	"fmt"
	"net/netip"
)

// MaxRules is how many rules a secured interface can have.
const MaxRules = 64

// Of inner.h, tags.h and verdict.h.
const (
	maxName    = 63
	noProtocol = 255
	ingressBit = 1 << 0
	egressBit  = 1 << 1
)

// The directions of a Rule, as seen from this machine.
const (
	OfIngress = "ingress"
	OfEgress  = "egress"
	OfBoth    = "both"
)

// Rule puts frames of a secured interface into a class, and says what is set on
// them. A field that is absent matches every frame, one that is there only
// frames that have it.
type Rule struct {
	Name      string // of the class
	Direction string // OfIngress, OfEgress, OfBoth
	STag      uint16 // VID of the S-tag; 0: absent
	CTag      uint16 // VID of the C-tag; 0: absent
	DSCP      int    // -1: absent
	// Prefix has the address at the far end: the destination of what leaves,
	// the source of what comes in. The zero Prefix is absent.
	Prefix   netip.Prefix
	Protocol int // IP protocol number; -1: absent
	// Port of either end, of a protocol that has ports; 0: absent. Later
	// fragments of a datagram do not have it.
	Port uint16
	// Mark replaces the bits of skb->mark that are in Mask; Mask 0: none.
	Mark, Mask uint32
	Priority   int64 // skb->priority; -1: it stays
	SetDSCP    int   // -1: it stays
}

// directions are the bits of tag_rule.direction; 0 is no direction.
func (r Rule) directions() uint8 {
	switch r.Direction {
	case OfIngress:
		return ingressBit
	case OfEgress:
		return egressBit
	case OfBoth:
		return ingressBit | egressBit
	}
	return 0
}

// check finds what the tables cannot hold. What makes no sense they can.
func (r Rule) check() error {
	switch {
	case r.Name == "" || len(r.Name) > maxName:
		return fmt.Errorf("rule %q: a name of 1 to %d octets is accepted", r.Name, maxName)
	case r.directions() == 0:
		return fmt.Errorf("rule %s: direction %q; %s, %s or %s is accepted", r.Name, r.Direction, OfIngress, OfEgress, OfBoth)
	case r.STag > 4094 || r.CTag > 4094:
		return fmt.Errorf("rule %s: VID %d; 1 to 4094 is accepted", r.Name, max(r.STag, r.CTag))
	case r.DSCP < -1 || r.DSCP > 63 || r.SetDSCP < -1 || r.SetDSCP > 63:
		return fmt.Errorf("rule %s: DSCP %d, to set %d; 0 to 63 is accepted", r.Name, r.DSCP, r.SetDSCP)
	case r.Protocol < -1 || r.Protocol >= noProtocol:
		return fmt.Errorf("rule %s: protocol %d; 0 to %d is accepted", r.Name, r.Protocol, noProtocol-1)
	case r.Priority < -1 || r.Priority > 1<<32-1:
		return fmt.Errorf("rule %s: priority %d; 0 to %d is accepted", r.Name, r.Priority, uint32(1<<32-1))
	case r.Mark&^r.Mask != 0:
		return fmt.Errorf("rule %s: mark 0x%x has bits outside its mask 0x%x", r.Name, r.Mark, r.Mask)
	case r.Prefix != (netip.Prefix{}) && (r.Prefix != r.Prefix.Masked() || r.Prefix.Addr().Is4In6()):
		return fmt.Errorf("rule %s: prefix %s; a network without host bits is accepted", r.Name, r.Prefix)
	}
	return nil
}

func checkRules(rules []Rule) error {
	if len(rules) > MaxRules {
		return fmt.Errorf("%d rules; up to %d are accepted", len(rules), MaxRules)
	}
	names := make(map[string]bool)
	for _, r := range rules {
		if err := r.check(); err != nil {
			return err
		}
		if names[r.Name] {
			return fmt.Errorf("rule %s: the name is that of a rule before it", r.Name)
		}
		names[r.Name] = true
	}
	return nil
}

// written is the form of rule that the programs carry for who reads them.
func (r Rule) written(slot uint8) securedTagRule {
	w := securedTagRule{Direction: r.directions(), Slot: slot, Stag: r.STag, Ctag: r.CTag, Dscp: int16(r.DSCP), Protocol: int16(r.Protocol), Port: r.Port,
		SetDscp: int16(r.SetDSCP), Mark: r.Mark, Mask: r.Mask, SetPriority: r.Priority}
	copy(w.Name[:], r.Name)
	if r.Prefix.IsValid() {
		w.PrefixFamily, w.PrefixBits = 4, uint8(r.Prefix.Bits())
		if r.Prefix.Addr().Is6() {
			w.PrefixFamily = 6
		}
		copy(w.Prefix[:], r.Prefix.Addr().AsSlice())
	}
	return w
}

// readRule is the inverse of Rule.written.
func readRule(w securedTagRule) Rule {
	r := Rule{Name: w.name(), STag: w.Stag, CTag: w.Ctag, DSCP: int(w.Dscp), Protocol: int(w.Protocol), Port: w.Port,
		SetDSCP: int(w.SetDscp), Mark: w.Mark, Mask: w.Mask, Priority: w.SetPriority}
	r.Direction = [...]string{ingressBit: OfIngress, egressBit: OfEgress, ingressBit | egressBit: OfBoth}[w.Direction&(ingressBit|egressBit)]
	switch w.PrefixFamily {
	case 4:
		r.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte(w.Prefix[:4])), int(w.PrefixBits))
	case 6:
		r.Prefix = netip.PrefixFrom(netip.AddrFrom16(w.Prefix), int(w.PrefixBits))
	}
	return r
}

func (w securedTagRule) name() string {
	n := 0
	for n < len(w.Name) && w.Name[n] != 0 {
		n++
	}
	return string(w.Name[:n])
}
