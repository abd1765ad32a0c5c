package bpf

import "fmt"

// ReadOuterCircuits reads the circuits of the MACsec frames that the filter saw
// at the device with that index in the calling thread's network namespace: by
// the VLAN tags before the SecTAG. Frames without a tag are no circuit's. The
// error is ErrNotAttached where there is no filter.
func ReadOuterCircuits(ifindex int) ([]Circuit, error) {
	e, err := Open(ifindex)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	outer, err := e.OuterCircuits()
	if err != nil || len(outer) == 0 {
		return nil, err
	}
	now, err := readTicks()
	if err != nil {
		return nil, fmt.Errorf("bpf: circuits: %w", err)
	}
	var all []Circuit
	for _, o := range outer {
		c := Circuit{Direction: OfIngress, STag: o.STag, CTag: o.CTag, Rest: o.Rest, Traffic: Traffic{o.Counter, now.at(o.Seen)}}
		if o.Egress {
			c.Direction = OfEgress
		}
		all = append(all, c)
	}
	return all, nil
}
