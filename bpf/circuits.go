package bpf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
)

// OuterCircuit counts the MACsec frames of a port that had these tags before
// their SecTAG.
type OuterCircuit struct {
	Egress     bool
	STag, CTag uint16 // VIDs; of one tag the other is 0
	// Rest is of all circuits that there was no room for.
	Rest bool
	Counter
	Seen uint64 // jiffies64 of the last frame
}

// egressSide is EGRESS of verdict.h.
const egressSide = 1

// OuterCircuits reads the circuits that were seen, by direction and tags.
func (e *Enforcer) OuterCircuits() ([]OuterCircuit, error) {
	all := map[portCircuitKey]*OuterCircuit{}
	if err := errors.Join(near(e.maps[portMapNearCircuits], all), crowded(e.maps[portMapCircuits], all)); err != nil {
		return nil, fmt.Errorf("bpf: read circuits: %w", err)
	}
	var out []OuterCircuit
	for k, c := range all {
		c.Egress = k.Direction == egressSide
		if c.Rest = k.Tags == noTag; !c.Rest {
			c.STag, c.CTag = uint16(k.Tags>>16), uint16(k.Tags)
		}
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b OuterCircuit) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a.STag, b.STag), cmp.Compare(a.CTag, b.CTag))
	})
	return out, nil
}

// order is by direction, in each the rest last.
func order(c OuterCircuit) (n int) {
	if c.Egress {
		n = 2
	}
	if c.Rest {
		n++
	}
	return n
}

func add(all map[portCircuitKey]*OuterCircuit, k portCircuitKey, n portCircuit) {
	if n.Counter.Packets == 0 {
		return
	}
	c := all[k]
	if c == nil {
		c = &OuterCircuit{}
		all[k] = c
	}
	c.Packets += n.Counter.Packets
	c.Octets += n.Counter.Octets
	c.Seen = max(c.Seen, n.Seen)
}

// near adds what is in the places of near_circuit.h.
func near(m *ebpf.Map, all map[portCircuitKey]*OuterCircuit) error {
	var perCPU []portNearCircuit
	for i := range m.MaxEntries() {
		if err := m.Lookup(i, &perCPU); err != nil {
			return fmt.Errorf("place %d: %w", i, err)
		}
		for _, n := range perCPU {
			if n.Circuit != 0 {
				add(all, portCircuitKey{Tags: uint32(n.Circuit - 1), Direction: i / (m.MaxEntries() / directions)}, n.Count)
			}
		}
	}
	return nil
}

// crowded adds those that had no place there.
func crowded(m *ebpf.Map, all map[portCircuitKey]*OuterCircuit) error {
	var key portCircuitKey
	var perCPU []portCircuit
	entries := m.Iterate()
	for entries.Next(&key, &perCPU) {
		for _, n := range perCPU {
			add(all, key, n)
		}
	}
	return entries.Err()
}
