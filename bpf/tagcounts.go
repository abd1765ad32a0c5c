package bpf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
)

// Traffic is what was seen of something. Octets are those of frames as they are
// on the secured interface, VLAN tags included and without FCS; a super-packet
// (GSO, GRO) counts as the frames that it becomes, or was.
type Traffic struct {
	Counter
	Seen time.Time // of the last frame, to a tick; zero: there was none
}

// Circuit is the traffic of frames with the same tags.
type Circuit struct {
	Direction  string // OfIngress, OfEgress
	STag, CTag uint16 // VIDs; 0: the frames have no such tag
	// Rest is of the circuits that there was no room for.
	Rest bool
	Traffic
}

// TagTraffic is what AttachTags counts on an interface.
type TagTraffic struct {
	Ingress, Egress Mode
	// Circuits that were seen, by tags and direction.
	Circuits []Circuit
	// Classes of the rules, in their order, the one of no rule last.
	Classes []Class
}

// Class is the traffic that matched a rule first.
type Class struct {
	Direction string
	Name      string // the rule's; "" of what no rule matches
	Traffic
}

var directionNames = [directions]string{OfIngress, OfEgress}

// ErrNotTagged says that the programs of AttachTags are not on a device.
var ErrNotTagged = errors.New("it is not tagged on both its sides; AttachTags")

// ReadTags reads what is counted on the secured interface with that index in the
// calling thread's network namespace.
func ReadTags(ifindex int) (r TagTraffic, err error) {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return r, fmt.Errorf("bpf: device %d: %w", ifindex, err)
	}
	t, err := findTaggers(l)
	defer func() { t.Close() }()
	if c := t.current(); err == nil && (c == nil || t[0] == nil || t[1] == nil) {
		err = ErrNotTagged
	} else if err == nil {
		r, err = c.read()
	}
	if err != nil {
		return r, fmt.Errorf("bpf: device %s: %w", l.Attrs().Name, err)
	}
	r.Ingress, r.Egress = t[0].mode, t[1].mode
	return r, nil
}

func (t *tagger) read() (r TagTraffic, err error) {
	now, err := readTicks()
	if err != nil {
		return r, err
	}
	if r.Circuits, err = readCircuits(t.maps[securedMapCircuits], t.maps[securedMapUntagged], now); err != nil {
		return r, fmt.Errorf("read circuits: %w", err)
	}
	class := func(name string, slot uint8) error {
		for d := range uint32(directions) {
			var perCPU []securedCircuit
			if err := t.maps[securedMapClasses].Lookup(uint32(slot)*directions+d, &perCPU); err != nil {
				return fmt.Errorf("read classes: %w", err)
			}
			r.Classes = append(r.Classes, Class{directionNames[d], name, traffic(perCPU, now)})
		}
		return nil
	}
	for _, w := range t.rules.Rule[:min(int(t.rules.Count), MaxRules)] {
		if err := class(securedTagRule(w).name(), w.Slot); err != nil {
			return r, err
		}
	}
	return r, class("", 0)
}

func readCircuits(tagged, untagged *ebpf.Map, now ticks) (all []Circuit, err error) {
	var key securedCircuitKey
	var perCPU []securedCircuit
	for d := range uint32(directions) {
		if err := untagged.Lookup(d, &perCPU); err != nil {
			return nil, err
		}
		if t := traffic(perCPU, now); t.Packets > 0 {
			all = append(all, Circuit{Direction: directionNames[d], Traffic: t})
		}
	}
	entries := tagged.Iterate()
	for entries.Next(&key, &perCPU) {
		t := traffic(perCPU, now)
		if t.Packets == 0 || key.Direction >= directions {
			continue
		}
		c := Circuit{Direction: directionNames[key.Direction], STag: uint16(key.Tags >> 16), CTag: uint16(key.Tags), Traffic: t}
		if key.Tags == noTag {
			c.STag, c.CTag, c.Rest = 0, 0, true
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Circuit) int {
		rest := 0
		if a.Rest != b.Rest {
			rest = 1
			if b.Rest {
				rest = -1
			}
		}
		return cmp.Or(rest, cmp.Compare(a.STag, b.STag), cmp.Compare(a.CTag, b.CTag), cmp.Compare(a.Direction, b.Direction))
	})
	return all, entries.Err()
}

func traffic(perCPU []securedCircuit, now ticks) (t Traffic) {
	last := uint64(0)
	for _, c := range perCPU {
		t.Packets += c.Counter.Packets
		t.Octets += c.Counter.Octets
		last = max(last, c.Seen)
	}
	t.Seen = now.at(last)
	return t
}
