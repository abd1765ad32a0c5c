package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// ErrNotUnderlay says that the filter of the device is not that of a tunnel's
// underlay.
var ErrNotUnderlay = errors.New("the filter is not that of a tunnel's underlay; Attach one with Underlay")

// maxFlows is MAX_FLOWS of tunnel.h.
const maxFlows = 32768

// ofUnderlay are the maps that have their size on an underlay only.
var ofUnderlay = []string{portMapProtect, portMapFlows4, portMapFlows6, portMapFlows, portMapFlowFirsts}

// underlay are the maps that say what may be in clear. They are one process's,
// and one goroutine's at a time, to change.
type underlay struct{ protect, flows4, flows6, flows, firsts *ebpf.Map }

// underlayOf is ErrNotUnderlay where held does not give the maps.
func underlayOf(held func(name string) *ebpf.Map) (u underlay, err error) {
	u = underlay{held(portMapProtect), held(portMapFlows4), held(portMapFlows6), held(portMapFlows), held(portMapFlowFirsts)}
	if u.protect == nil || u.flows4 == nil || u.flows6 == nil || u.flows == nil || u.firsts == nil {
		return u, ErrNotUnderlay
	}
	return u, nil
}

// set makes the maps say what want does. Flows come before others go, and keep
// their counters; the prefixes change in one step. It does what it can, and
// tells what it could not.
func (u underlay) set(want Underlay) error {
	prefixes, ids, err := want.wanted()
	if err != nil {
		return err
	}
	have, err := u.entries()
	if err != nil {
		return err
	}
	var errs []error
	free := u.free(have)
	for _, id := range ids {
		if _, there := have[id]; there {
			delete(have, id)
			continue
		}
		errs = append(errs, u.add(id, free()))
	}
	for id := range have {
		if err := u.remove(id); err != nil {
			errs = append(errs, fmt.Errorf("remove flow %+v: %w", id, err))
		}
	}
	// Last, since it waits: nothing counts any more for what was removed.
	return errors.Join(append(errs, replace(u.protect, prefixes))...)
}

// free gives the counters that no entry has, one after the other, and maxFlows
// when there are no more.
func (u underlay) free(have map[FlowID]portFlow) func() uint32 {
	var used [maxFlows]bool
	for _, f := range have {
		if f.Counter < maxFlows {
			used[f.Counter] = true
		}
	}
	next := uint32(0)
	return func() uint32 {
		for next < maxFlows && used[next] {
			next++
		}
		next++
		return next - 1
	}
}

// add lets a flow pass that has no entry, with a counter from 0.
func (u underlay) add(id FlowID, counter uint32) error {
	f := portFlow{Counter: counter, Label: uint32(id.Protocol)}
	err := errors.Join(u.flows.Put(counter, make([]portNumbered, ebpf.MustPossibleCPU())), u.firsts.Put(counter, uint64(0)))
	if err == nil && id.is4() {
		err = u.flows4.Update(id.key4(), f, ebpf.UpdateNoExist)
	} else if err == nil {
		err = u.flows6.Update(id.key6(), f, ebpf.UpdateNoExist)
	}
	if err != nil {
		return fmt.Errorf("add flow %+v: %w", id, err)
	}
	return nil
}

func (u underlay) remove(id FlowID) error {
	if id.is4() {
		return u.flows4.Delete(id.key4())
	}
	return u.flows6.Delete(id.key6())
}

// entries reads both families.
func (u underlay) entries() (map[FlowID]portFlow, error) {
	four, err4 := entries[portFlow4, portFlow](u.flows4)
	six, err6 := entries[portFlow6, portFlow](u.flows6)
	if err := errors.Join(err4, err6); err != nil {
		return nil, fmt.Errorf("read the flows: %w", err)
	}
	all := make(map[FlowID]portFlow, len(four)+len(six))
	for k, f := range four {
		all[k.id(f.Label)] = f
	}
	for k, f := range six {
		all[k.id(f.Label)] = f
	}
	return all, nil
}
