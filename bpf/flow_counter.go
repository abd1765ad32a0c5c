package bpf

import (
	"fmt"
	"slices"
	"time"
)

// FlowCounter counts the frames of a flow since it was added.
type FlowCounter struct {
	FlowID
	Counter
	// Seen is when the last one was: the kernel's jiffies64. 0: none was.
	Seen uint64
	// Last is Seen as a time; the zero one: none was.
	Last time.Time
	// SequenceLow and SequenceHigh are the least and the greatest sequence
	// number of ESP, their lower half with ESN. 0 and 0: none was seen.
	SequenceLow, SequenceHigh uint32
}

// Gaps estimates how many packets of an SA are missing in between. It is less
// where packets came twice.
func (c FlowCounter) Gaps() uint64 {
	if c.SequenceLow == 0 {
		return 0
	}
	span := uint64(c.SequenceHigh-c.SequenceLow) + 1
	return span - min(span, c.Packets)
}

// counters reads those of all flows, sorted.
func (u underlay) counters() (all []FlowCounter, err error) {
	have, err := u.entries()
	if err != nil {
		return nil, err
	}
	now, err := readTicks()
	if err != nil {
		return nil, err
	}
	for id, f := range have {
		var perCPU []portFlowCounter
		if err := u.flows.Lookup(f.Counter, &perCPU); err != nil {
			return nil, fmt.Errorf("read the counter of flow %+v: %w", id, err)
		}
		c := FlowCounter{FlowID: id}
		for _, n := range perCPU {
			c.add(n)
		}
		c.Last = now.at(c.Seen)
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b FlowCounter) int { return a.compare(b.FlowID) })
	return all, nil
}

// add adds what one CPU had. Sequence numbers are compared as serial numbers.
func (c *FlowCounter) add(n portFlowCounter) {
	c.Packets += n.Packets
	c.Octets += n.Octets
	c.Seen = max(c.Seen, n.Seen)
	switch {
	case n.SequenceLow == 0:
	case c.SequenceLow == 0:
		c.SequenceLow, c.SequenceHigh = n.SequenceLow, n.SequenceHigh
	default:
		if int32(n.SequenceLow-c.SequenceLow) < 0 {
			c.SequenceLow = n.SequenceLow
		}
		if int32(n.SequenceHigh-c.SequenceHigh) > 0 {
			c.SequenceHigh = n.SequenceHigh
		}
	}
}
