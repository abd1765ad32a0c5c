package bpf

import (
	"errors"
	"fmt"
	"slices"
)

// FlowCounter counts the frames of a flow since it was added. Of flows but ESP
// there are no numbers.
type FlowCounter struct {
	FlowID
	Numbered
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
		var perCPU []portNumbered
		low := uint64(0)
		if err := errors.Join(u.flows.Lookup(f.Counter, &perCPU), u.firsts.Lookup(f.Counter, &low)); err != nil {
			return nil, fmt.Errorf("read the counter of flow %+v: %w", id, err)
		}
		all = append(all, FlowCounter{id, now.numbered(perCPU, portNumbered{}, low)})
	}
	slices.SortFunc(all, func(a, b FlowCounter) int { return a.compare(b.FlowID) })
	return all, nil
}
