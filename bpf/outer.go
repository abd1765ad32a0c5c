package bpf

// ReadOuterCircuits reads the circuits of the MACsec frames that the filter saw
// at the device with that index in the calling thread's network namespace: by
// the VLAN tags before the SecTAG. Frames without a tag are no circuit's. The
// error is ErrNotAttached where there is no filter.
func ReadOuterCircuits(ifindex int) ([]Circuit, error) {
	e, err := open(ifindex, portMapNearCircuits, portMapCircuits)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	return e.OuterCircuits()
}
