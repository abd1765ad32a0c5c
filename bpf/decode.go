package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"unsafe"
)

const eventSize = int(unsafe.Sizeof(portEvent{}))

// Reason is why a frame was dropped: one of Reasons.
type Reason uint8

var reasons = map[Reason]string{
	Reason(portVerdictTAGGED):        "tagged",
	Reason(portVerdictDROPPED):       "dropped",
	Reason(portVerdictPROTECTED):     "protected",
	Reason(portVerdictEAPOL_LIMITED): "eapol_limited",
}

// Reasons are all that there are, in the order of verdict.h.
func Reasons() (all []Reason) {
	for r := range reasons {
		all = append(all, r)
	}
	slices.Sort(all)
	return all
}

// String is the reason's name, as the counters have it.
func (r Reason) String() string {
	if s, ok := reasons[r]; ok {
		return s
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Head is what the first octets of a frame tell: its addresses, but nothing of
// what it carries.
type Head struct {
	Destination, Source [6]byte
	Tags                []uint16 // VIDs in clear, the outer first; at most 2
	EtherType           uint16   // behind the tags; below 0x0600 a length
	// Of IPv4 and IPv6, else not valid. The ports are those of TCP, UDP and
	// SCTP, and 0 in a fragment that does not have them.
	From, To netip.AddrPort
	Protocol uint8 // IPv6: of the first header
}

// Drop is a frame that the filter dropped.
type Drop struct {
	Monotonic uint64 // CLOCK_MONOTONIC, ns
	Direction Direction
	Reason    Reason
	Size      int // octets without FCS
	Head
}

var errShortEvent = errors.New("bpf: the event of a dropped frame is cut; Attach replaces the filter")

// decodeEvent reads struct event of event.h, in the machine's byte order.
func decodeEvent(b []byte) (d Drop, err error) {
	if len(b) < eventSize {
		return d, errShortEvent
	}
	var e portEvent
	if _, err := binary.Decode(b, binary.NativeEndian, &e); err != nil {
		return d, fmt.Errorf("bpf: event of a dropped frame: %w", err)
	}
	d = Drop{Monotonic: e.Time, Direction: Direction(e.Direction), Reason: Reason(e.Verdict), Size: int(e.Size)}
	if _, known := reasons[d.Reason]; !known || e.Direction >= directions || int(e.Has) > len(e.Head) {
		return d, fmt.Errorf("bpf: an event of direction %d, verdict %d with %d octets is none that this version knows; Attach replaces the filter", e.Direction, e.Verdict, e.Has)
	}
	d.Head = parseHead(e.Head[:e.Has])
	return d, nil
}

// parseHead reads as far as b goes: what is cut is zero.
func parseHead(b []byte) (h Head) {
	copy(h.Destination[:], b)
	if len(b) < 14 {
		return h
	}
	copy(h.Source[:], b[6:])
	h.EtherType = binary.BigEndian.Uint16(b[12:])
	b = b[14:]
	for len(h.Tags) < 2 && len(b) >= 4 && (h.EtherType == 0x8100 || h.EtherType == 0x88a8 || h.EtherType == 0x9100) {
		h.Tags = append(h.Tags, binary.BigEndian.Uint16(b)&0x0fff)
		h.EtherType = binary.BigEndian.Uint16(b[2:])
		b = b[4:]
	}
	switch h.EtherType {
	case 0x0800:
		h.ip4(b)
	case 0x86dd:
		h.ip6(b)
	}
	return h
}

func (h *Head) ip4(b []byte) {
	if len(b) < 20 || b[0]>>4 != 4 || b[0]&0x0f < 5 {
		return
	}
	h.Protocol = b[9]
	from, to := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	first := binary.BigEndian.Uint16(b[6:])&0x1fff == 0
	h.ports(from, to, first, b[min(len(b), int(b[0]&0x0f)*4):])
}

func (h *Head) ip6(b []byte) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return
	}
	h.Protocol = b[6]
	h.ports(netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), true, b[40:])
}

func (h *Head) ports(from, to netip.Addr, first bool, b []byte) {
	var s, d uint16
	switch h.Protocol {
	case 6, 17, 132: // TCP, UDP, SCTP
		if first && len(b) >= 4 {
			s, d = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		}
	}
	h.From, h.To = netip.AddrPortFrom(from, s), netip.AddrPortFrom(to, d)
}

var protocolNames = map[uint8]string{1: "icmp", 6: "tcp", 17: "udp", 50: "esp", 58: "icmpv6", 132: "sctp"}

// String is one line: addresses, tags, EtherType and what is known of IP.
func (h Head) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s > %s", net.HardwareAddr(h.Source[:]), net.HardwareAddr(h.Destination[:]))
	for _, t := range h.Tags {
		fmt.Fprintf(&b, " vlan %d", t)
	}
	fmt.Fprintf(&b, " ethertype 0x%04x", h.EtherType)
	if !h.From.IsValid() {
		return b.String()
	}
	name, ok := protocolNames[h.Protocol]
	if !ok {
		name = fmt.Sprintf("protocol %d", h.Protocol)
	}
	if h.From.Port() == 0 && h.To.Port() == 0 {
		fmt.Fprintf(&b, " %s %s > %s", name, h.From.Addr(), h.To.Addr())
	} else {
		fmt.Fprintf(&b, " %s %s > %s", name, h.From, h.To)
	}
	return b.String()
}
