package config

import (
	"net/netip"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/suite"
)

// mostMTU is a tunnel's where the configuration has none and the device has room
// for it: Azure's gateways have it, and what is between may take less than the
// device does.
const mostMTU = 1400

// Room is what a tunnel's MTU leaves of its device's, in octets, where the
// configuration has none: IP, UDP and the tunnel's own. With ESP a NAT may be
// found at any time, and UDP is with it then (RFC 3948).
func (t Tunnel) Room(userspace bool) int { return t.overhead(userspace, true) }

// overhead is the most that t adds to a packet; encapsulated is ESP's in UDP.
func (t Tunnel) overhead(userspace, encapsulated bool) (most int) {
	six := t.Local.Is6()
	if t.WireGuard != nil {
		if six {
			return 80
		}
		return 60
	}
	chosen, _ := suite.Choose(t.IPsec.settings(userspace))
	for _, p := range chosen.ESP {
		most = max(most, p.Overhead(six, encapsulated))
	}
	return most
}

// MSSRoom is what MSS leaves of MTU: IP, TCP, and ten octets to spare, with which
// 1400 gives the 1350 that Azure asks for.
func (t Tunnel) MSSRoom() int {
	if t.carries6() {
		return 70
	}
	return 50
}

// LeastMTU is the smallest that what t carries can do with (RFC 791, 8200).
func (t Tunnel) LeastMTU() int {
	if t.carries6() {
		return minMTU6
	}
	return minMTU
}

// carries6 tells whether IPv6 is in the tunnel.
func (t Tunnel) carries6() bool {
	six := t.Probe != nil && t.Probe.Address.Is6()
	for _, list := range [][]netip.Prefix{t.Protect, t.Addresses} {
		for _, p := range list {
			six = six || p.Addr().Is6()
		}
	}
	return six
}
