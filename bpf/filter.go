package bpf

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// magic is MAGIC of settings.h: a mark, and the version of what follows it.
const (
	magic       = 0x6c7365616c000004
	versionBits = 24
)

// Of sockets.h, frame.h, verdict.h, sa.h and names.h.
const (
	queues     = 64
	noTag      = 0xffffffff
	directions = 2
	maxSAs     = 4096
)

// Filter says what is let through besides MACsec.
type Filter struct {
	// EAPOLDestination is where EAPOL may go and come from the peer to; what
	// comes to the port's own address passes too.
	EAPOLDestination [6]byte
	// EtherType of EAPOL: 0x888e, or as the peers have it configured.
	EtherType uint16
	// Allow lists protocols that pass in clear, in any order.
	Allow []Protocol
	// CountOnly drops nothing but EAPOL over its budget (Limit): what would not
	// pass is counted as Clear.
	CountOnly bool
	// Underlay, if it is not nil, says what passes in clear with CountOnly. It
	// can be changed in place: Enforcer.SetUnderlay. Without CountOnly nothing
	// passes in clear, nor do its flows.
	Underlay *Underlay
}

// carriers are EtherTypes that cannot be EAPOL's: with one of them, what the
// port must not send would pass as EAPOL.
var carriers = map[uint16]string{
	0x0800: "IPv4", 0x0806: "ARP", 0x86dd: "IPv6", 0x8847: "MPLS", 0x8848: "MPLS",
	0x8863: "PPPoE", 0x8864: "PPPoE", 0x22f3: "TRILL", 0x6558: "bridged Ethernet",
	0x88e7: "802.1ah", 0x892f: "HSR", 0x894f: "NSH", 0xf1c1: "802.1CB",
	0x8100: "802.1Q", 0x88a8: "802.1ad", 0x9100: "QinQ", 0x88e5: "MACsec",
}

// settings is the form of f that the programs have, for a port with that
// address. Queues and Gro are the caller's.
func (f Filter) settings(port [6]byte) (s portSettings, err error) {
	if f.EtherType < 0x0600 {
		return s, fmt.Errorf("EAPOL ethertype 0x%04x is a length; one of 0x0600 or greater is accepted", f.EtherType)
	}
	if name, bad := carriers[f.EtherType]; bad {
		return s, fmt.Errorf("EAPOL ethertype 0x%04x is that of %s, which must not pass; another is accepted", f.EtherType, name)
	}
	s.Magic = magic
	if !f.CountOnly {
		s.Enforce = 1
	}
	if f.Underlay != nil {
		s.Underlay = 1
	}
	s.Port = port
	s.EapolDestination = f.EAPOLDestination
	s.EapolType = wire(f.EtherType)
	allow := slices.Clone(f.Allow)
	slices.Sort(allow)
	for _, p := range slices.Compact(allow) {
		t, ok := protocols[p]
		if !ok {
			_, err := ParseProtocol(string(p))
			return s, err
		}
		if t.etherType == f.EtherType {
			return s, fmt.Errorf("EAPOL ethertype 0x%04x is that of %s; another is accepted", f.EtherType, p)
		}
		for _, d := range t.destinations {
			r := &s.Allow[s.Rules] // there is room for all: TestRoomForAll
			r.Destination, r.EtherType, r.Subtype = d, wire(t.etherType), t.subtype
			if t.subtype != 0 {
				r.HasSubtype = 1
			}
			s.Rules++
		}
	}
	return s, nil
}

// filter is the inverse of Filter.settings, but for what is in maps.
func (s *portSettings) filter() Filter {
	f := Filter{EAPOLDestination: s.EapolDestination, EtherType: wire(s.EapolType), CountOnly: s.Enforce == 0}
	if s.Underlay == 1 {
		f.Underlay = &Underlay{}
	}
	for _, p := range Protocols() {
		t := protocols[p]
		for _, r := range s.Allow[:min(int(s.Rules), len(s.Allow))] {
			if r.EtherType == wire(t.etherType) && r.Subtype == t.subtype && r.Destination == t.destinations[0] {
				f.Allow = append(f.Allow, p)
			}
		}
	}
	return f
}

// wire turns a number into one whose octets in memory are those on the wire,
// and back.
func wire(n uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], n)
	return binary.NativeEndian.Uint16(b[:])
}
