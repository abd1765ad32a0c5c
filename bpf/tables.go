package bpf

import (
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
)

// classSlots are the counters of classes, SLOTS of secured.c. The first is that of
// frames that no rule matches.
const classSlots = 129

// tagsMagic is TAGS_MAGIC of tags.h.
const tagsMagic = 0x6c7365616c740001

// tagging is rules as the programs have them.
type tagging struct {
	written  securedTagRules
	tables   *securedTables
	prefixes map[netip.Prefix]uint64 // the rules that an address satisfies whose longest prefix it is
	fresh    []uint8                 // slots that no rule of old had
}

// compile makes the tables of rules, which check. Classes that old, which may
// be nil, has keep their slots.
func compile(rules []Rule, old *securedTagRules) (*tagging, error) {
	if err := checkRules(rules); err != nil {
		return nil, err
	}
	t := &tagging{tables: new(securedTables), prefixes: make(map[netip.Prefix]uint64)}
	t.written.Magic, t.written.Count = tagsMagic, uint32(len(rules))
	t.tables.Rules = uint32(len(rules))
	t.place(rules, old)
	stags, ctags, ports := group{at: t.tables.StagGroup[:]}, group{at: t.tables.CtagGroup[:]}, group{at: t.tables.PortGroup[:]}
	for i, r := range rules {
		bit := uint64(1) << i
		for d := range directions {
			if r.directions()&(1<<d) != 0 {
				t.tables.Direction[d] |= bit
			}
		}
		stags.rule(t.tables.Stag[:], i, r.STag, &t.tables.AsksStag)
		ctags.rule(t.tables.Ctag[:], i, r.CTag, &t.tables.AsksCtag)
		ports.rule(t.tables.Port[:], i, wire(r.Port), &t.tables.AsksPort)
		direct(t.tables.Dscp[:], i, r.DSCP, &t.tables.AsksDscp)
		direct(t.tables.Protocol[:], i, r.Protocol, &t.tables.AsksProtocol)
		if !r.Prefix.IsValid() {
			t.tables.NoPrefix |= bit
		} else {
			t.tables.AsksPrefix = 1
			t.prefixes[r.Prefix] |= bit
		}
		a := securedAction{Mark: r.Mark, Mask: r.Mask, Slot: t.written.Rule[i].Slot}
		if r.Priority >= 0 {
			a.Priority, a.SetsPriority = uint32(r.Priority), 1
		}
		if r.SetDSCP >= 0 {
			a.Dscp, a.SetsDscp, t.tables.SetsDscp = uint8(r.SetDSCP), 1, 1
		}
		t.tables.Action[i] = a
	}
	t.widen()
	return t, nil
}

// place gives each rule the counters of its class.
func (t *tagging) place(rules []Rule, old *securedTagRules) {
	had := make(map[string]uint8)
	taken := [classSlots]bool{true}
	if old != nil {
		for _, w := range old.Rule[:min(int(old.Count), MaxRules)] {
			if s := w.Slot; s > 0 && s < classSlots {
				had[securedTagRule(w).name()], taken[s] = s, true
			}
		}
	}
	next := uint8(1)
	for i, r := range rules {
		s, ok := had[r.Name]
		if !ok {
			for taken[next] { // there are twice as many as rules
				next++
			}
			s, taken[next] = next, true
			t.fresh = append(t.fresh, s)
		}
		t.written.Rule[i] = r.written(s)
	}
}

// widen gives each prefix the rules of those that it is in, and of none.
func (t *tagging) widen() {
	own := t.prefixes
	t.prefixes = make(map[netip.Prefix]uint64, len(own))
	for p := range own {
		t.prefixes[p] = t.tables.NoPrefix
		for o, bits := range own {
			if o.Bits() <= p.Bits() && o.Contains(p.Addr()) {
				t.prefixes[p] |= bits
			}
		}
	}
}

// group gives the values that rules name a number each, from 1. Those that none
// names have 0.
type group struct {
	at   []uint8 // by value
	next uint8
}

// rule adds rule i, which names value if that is not 0, to the vectors by group.
func (g *group) rule(vectors []uint64, i int, value uint16, asks *uint32) {
	bit := uint64(1) << i
	if value == 0 {
		for n := range vectors {
			vectors[n] |= bit
		}
		return
	}
	*asks = 1
	if g.at[value] == 0 {
		g.next++
		g.at[value] = g.next
	}
	vectors[g.at[value]] |= bit
}

// direct adds rule i, which names value if that is not -1, to vectors by value.
func direct(vectors []uint64, i, value int, asks *uint32) {
	bit := uint64(1) << i
	if value >= 0 {
		*asks = 1
		vectors[value] |= bit
		return
	}
	for n := range vectors {
		vectors[n] |= bit
	}
}

// fill writes the prefixes into new maps.
func (t *tagging) fill(four, six *ebpf.Map) error {
	for p, rules := range t.prefixes {
		var err error
		if p.Addr().Is4() {
			err = four.Put(securedPrefix4{Bits: uint32(p.Bits()), Address: p.Addr().As4()}, rules)
		} else {
			err = six.Put(securedPrefix6{Bits: uint32(p.Bits()), Address: p.Addr().As16()}, rules)
		}
		if err != nil {
			return fmt.Errorf("prefix %s: %w", p, err)
		}
	}
	return nil
}
