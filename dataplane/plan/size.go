package plan

// sizes are t's MTU and MSS on a device of that MTU; 0: it is not known.
func (t Tunnel) sizes(device int) (mtu, mss int) {
	mtu, mss = t.MTU, t.MSS
	if t.Room != 0 && device != 0 {
		most := device - t.Room
		if t.Link == WireGuard || t.Link == TUN {
			most &^= wireGuardBlock - 1
		}
		mtu = max(min(mtu, most), t.LeastMTU)
	}
	switch {
	case t.MSSRoom != 0:
		mss = mtu - t.MSSRoom
	case t.Room != 0:
		mss = min(mss, mtu-ipTCP)
	}
	return mtu, max(mss, min(t.MSS, 1))
}

const (
	wireGuardBlock = 16 // to which it pads, in octets
	ipTCP          = 40 // IPv4 and TCP without options
)

// deviceMTU is that of an underlay, as it will be; 0: it is not there.
func (b *builder) deviceMTU(desired Desired, name string) int {
	for _, p := range desired.Ports {
		if p.Interface == name && p.MTU != 0 {
			return p.MTU
		}
	}
	return b.Links[name].MTU
}
