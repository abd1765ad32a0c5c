package bpf

import (
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
)

// UnderlayState is what the maps of an underlay say, sorted.
type UnderlayState struct {
	// Protect is nil, and Known false, while no set has been written: nothing
	// but the flows passes.
	Protect []netip.Prefix
	Known   bool
	Flows   []FlowID
}

// state reads the maps, which program of has.
func (u underlay) state(of ebpf.ProgramID) (s UnderlayState, err error) {
	if s.Protect, s.Known, err = protected(of, u.protect); err != nil {
		return s, err
	}
	all, err := u.entries()
	if err != nil {
		return s, err
	}
	for id := range all {
		s.Flows = append(s.Flows, id)
	}
	slices.SortFunc(s.Flows, FlowID.compare)
	return s, nil
}

// says tells whether s is what want asks for.
func (s *UnderlayState) says(want *Underlay) bool {
	if s == nil || want == nil {
		return s == nil && want == nil
	}
	prefixes, ids, err := want.wanted()
	return err == nil && s.Known && slices.Equal(s.Protect, prefixes) && slices.Equal(s.Flows, ids)
}
