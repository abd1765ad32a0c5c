package bpf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
)

// Circuit is the traffic of frames with the same tags.
type Circuit struct {
	Direction  string // OfIngress, OfEgress
	STag, CTag uint16 // VIDs; 0: the frames have no such tag
	// Rest is of the circuits that there was no room for; on a port of frames whose
	// SA has no counter too, whatever their tags: of a place that is taken nothing
	// makes it free again, and whoever knows no SCI and AN of ours takes none.
	Rest bool
	Traffic
}

// OuterCircuits reads what was counted of a port's MACsec frames by the tags
// before their SecTAG; of those without any there is none.
func (e *Enforcer) OuterCircuits() ([]Circuit, error) {
	now, err := readTicks()
	if err != nil {
		return nil, fmt.Errorf("bpf: %w", err)
	}
	all, err := readCircuits(e.maps, now)
	if err != nil {
		return nil, fmt.Errorf("bpf: read circuits: %w", err)
	}
	return all, nil
}

// readCircuits sums what is in the places and in the hash of circuit.h, the rest
// last. Frames without tags are counted where there is a map for them.
func readCircuits(maps mapsByName, now ticks) (all []Circuit, err error) {
	seen := map[portCircuitKey][]portCircuit{}
	near := maps[portMapNearCircuits]
	places, cpus := near.MaxEntries(), uint32(ebpf.MustPossibleCPU())
	keys, perCPU := make([]uint32, places), make([]portNearCircuit, places*cpus)
	// In one call: a call each takes longer than all that a status needs else.
	var from ebpf.MapBatchCursor
	n, err := near.BatchLookup(&from, keys, perCPU, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) || n != int(places) { // there are no more
		return nil, fmt.Errorf("%d of %d places: %w", n, places, err)
	}
	for at, c := range perCPU {
		if c.Circuit != 0 {
			k := portCircuitKey{Tags: uint32(c.Circuit - 1), Direction: keys[uint32(at)/cpus] / (places / directions)}
			seen[k] = append(seen[k], c.Count)
		}
	}
	crowded, err := entries[portCircuitKey, []portCircuit](maps[portMapCircuits])
	if err != nil {
		return nil, err
	}
	for k, perCPU := range crowded {
		seen[k] = append(seen[k], perCPU...)
	}
	for k, perCPU := range seen {
		c := Circuit{Direction: directionNames[k.Direction%directions], Rest: k.Tags == noTag, Traffic: traffic(perCPU, now)}
		if !c.Rest {
			c.STag, c.CTag = uint16(k.Tags>>16), uint16(k.Tags)
		}
		all = append(all, c)
	}
	if m := maps[securedMapUntagged]; m != nil {
		for d := range uint32(directions) {
			t, err := trafficAt(m, d, now)
			if err != nil {
				return nil, fmt.Errorf("without tags: %w", err)
			}
			all = append(all, Circuit{Direction: directionNames[d], Traffic: t})
		}
	}
	all = slices.DeleteFunc(all, func(c Circuit) bool { return c.Packets == 0 })
	last := func(c Circuit) int {
		if c.Rest {
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b Circuit) int {
		return cmp.Or(last(a)-last(b), cmp.Compare(a.STag, b.STag), cmp.Compare(a.CTag, b.CTag), cmp.Compare(a.Direction, b.Direction))
	})
	return all, nil
}

func trafficAt(m *ebpf.Map, i uint32, now ticks) (Traffic, error) {
	var perCPU []portCircuit
	err := m.Lookup(i, &perCPU)
	return traffic(perCPU, now), err
}

func traffic(perCPU []portCircuit, now ticks) (t Traffic) {
	seen := uint64(0)
	for _, c := range perCPU {
		t.Packets += c.Counter.Packets
		t.Octets += c.Counter.Octets
		seen = max(seen, c.Seen)
	}
	t.Seen = now.at(seen)
	return t
}
