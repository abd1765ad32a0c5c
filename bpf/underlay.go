package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Limits of an Underlay. There is room for twice as many flows, so that all can
// be replaced at once.
const (
	MaxPrefixes = 16384 // of Protect
	MaxFlowIDs  = 16384 // that Flows have in all, of each direction one
)

// Underlay says what may be in clear on a device that is below a tunnel: what
// is neither from nor to a protected prefix. The tunnel's own flows pass, also
// where their ends are in such a prefix. What cannot be told to be of another
// prefix is dropped; see the package comment.
type Underlay struct {
	Protect []netip.Prefix
	Flows   []Flow
}

// FlowProtocol is what a tunnel's flow is.
type FlowProtocol uint8

// The protocols. A Flow is IPsec, which is ESP and IKE, or WireGuard.
const (
	WireGuard FlowProtocol = iota + 1
	IPsec
	ESP // IP protocol 50, or in UDP between ports 4500
	IKE // UDP between ports 500 or between ports 4500
)

var flowProtocols = [...]string{"none", "wireguard", "ipsec", "esp", "ike"}

func (p FlowProtocol) String() string {
	if int(p) >= len(flowProtocols) {
		return fmt.Sprintf("protocol %d", uint8(p))
	}
	return flowProtocols[p]
}

// The UDP ports of IPsec (RFC 7296 2, RFC 3948).
const (
	ikePort  = 500
	nattPort = 4500
)

// Flow is what carries a tunnel between its ends, both directions.
type Flow struct {
	Protocol FlowProtocol // IPsec or WireGuard
	Local    netip.Addr
	Remote   netip.Addr
	// Of WireGuard. Local 500 and 4500 are IPsec's.
	LocalPort  uint16
	RemotePort uint16
	// Roams says that Remote and RemotePort, which are zero then, may be any:
	// what has the form of a WireGuard message passes.
	Roams bool
	// AnySPI lets ESP pass by its addresses. SPIs that are named have a counter
	// each, and without AnySPI they alone pass; ESP in later fragments, which
	// have none, passes with AnySPI only.
	AnySPI bool
	SPIIn  []uint32 // of ESP from Remote
	SPIOut []uint32
}

// FlowID is one direction of a flow: what is counted by itself.
type FlowID struct {
	Protocol FlowProtocol // ESP, IKE or WireGuard
	Egress   bool
	Local    netip.AddrPort // ESP has port 0
	Remote   netip.AddrPort // the zero one: any
	SPI      uint32         // of ESP; 0: those that are not named
}

// ids are the parts of f.
func (f Flow) ids() (ids []FlowID, err error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	for _, egress := range []bool{false, true} {
		id := func(p FlowProtocol, local, remote uint16, spi uint32) {
			one := FlowID{p, egress, netip.AddrPortFrom(f.Local, local), netip.AddrPortFrom(f.Remote, remote), spi}
			if f.Roams {
				one.Remote = netip.AddrPort{}
			}
			ids = append(ids, one)
		}
		if f.Protocol == WireGuard {
			id(WireGuard, f.LocalPort, f.RemotePort, 0)
			continue
		}
		id(IKE, ikePort, ikePort, 0)
		id(IKE, nattPort, nattPort, 0)
		if f.AnySPI {
			id(ESP, 0, 0, 0)
		}
		spis := f.SPIIn
		if egress {
			spis = f.SPIOut
		}
		for _, spi := range spis {
			if spi == 0 {
				return nil, fmt.Errorf("flow %s %s to %s: SPI 0 is none; those of the SAs are accepted", f.Protocol, f.Local, f.Remote)
			}
			id(ESP, 0, 0, spi)
		}
	}
	return ids, nil
}

func (f Flow) check() error {
	bad := ""
	switch {
	case f.Protocol != IPsec && f.Protocol != WireGuard:
		bad = "a flow is ipsec or wireguard"
	case !usable(f.Local):
		bad = "local must be the address of a host, without a zone"
	case f.Roams && (f.Protocol != WireGuard || f.Remote != netip.Addr{} || f.RemotePort != 0):
		bad = "what roams is wireguard, and has no remote address and port"
	case !f.Roams && (!usable(f.Remote) || f.Remote.Is4() != f.Local.Is4()):
		bad = "remote must be the address of a host, without a zone, of local's family"
	case f.Protocol == IPsec && (f.LocalPort != 0 || f.RemotePort != 0):
		bad = "ipsec has no ports but 500 and 4500"
	case f.Protocol == WireGuard && (f.AnySPI || len(f.SPIIn)+len(f.SPIOut) > 0):
		bad = "wireguard has no SPIs"
	case f.Protocol == WireGuard && (f.LocalPort == 0 || f.RemotePort == 0 && !f.Roams):
		bad = "wireguard needs its ports"
	case f.LocalPort == ikePort || f.LocalPort == nattPort:
		bad = "local ports 500 and 4500 are those of ipsec; another is accepted"
	default:
		return nil
	}
	return fmt.Errorf("flow %s %s to %s: %s", f.Protocol, f.Local, f.Remote, bad)
}

func usable(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast()
}

// wanted is u as the maps have it, sorted, without repetitions.
func (u Underlay) wanted() (prefixes []netip.Prefix, ids []FlowID, err error) {
	for _, p := range u.Protect {
		if !p.IsValid() || p.Addr().Is4In6() {
			return nil, nil, fmt.Errorf("protected prefix %s: it must be IPv4 or IPv6, with its length", p)
		}
		prefixes = append(prefixes, p.Masked())
	}
	slices.SortFunc(prefixes, comparePrefixes)
	prefixes = slices.Compact(prefixes)
	var errs []error
	for _, f := range u.Flows {
		more, err := f.ids()
		ids, errs = append(ids, more...), append(errs, err)
	}
	slices.SortFunc(ids, FlowID.compare)
	ids = slices.Compact(ids)
	if len(prefixes) > MaxPrefixes {
		errs = append(errs, fmt.Errorf("%d protected prefixes; %d have room", len(prefixes), MaxPrefixes))
	}
	if len(ids) > MaxFlowIDs {
		errs = append(errs, fmt.Errorf("%d flows, by direction and SPI; %d have room", len(ids), MaxFlowIDs))
	}
	return prefixes, ids, errors.Join(errs...)
}
