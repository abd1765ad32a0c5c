package bpf

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
)

// model is the judgement of an underlay, the plain way.
type model struct {
	prefixes []netip.Prefix
	ids      map[FlowID]bool
}

func newModel(u Underlay) (m model, err error) {
	prefixes, ids, err := u.wanted()
	m = model{prefixes, map[FlowID]bool{}}
	for _, id := range ids {
		m.ids[id] = true
	}
	return m, err
}

// modelPacket is what is known of an IP packet.
type modelPacket struct {
	source, destination netip.Addr
	protocol            byte
	later               bool
	rest                []byte // behind IP's headers
}

func modelTag(t uint16) bool { return slices.Contains([]uint16{0x8100, 0x88a8, 0x9100}, t) }

// judge gives the verdict, and the flow of a tunnel's.
func (m model) judge(frame []byte, egress bool) (portVerdict, FlowID) {
	kind, rest, tags := binary.BigEndian.Uint16(frame[12:]), frame[14:], 0
	for ; tags < 2 && modelTag(kind) && len(rest) >= 4; tags++ {
		kind, rest = binary.BigEndian.Uint16(rest[2:]), rest[4:]
	}
	var p modelPacket
	ok := false
	switch kind {
	case 0x88e5:
		return portVerdictMACSEC, FlowID{}
	case 0x888e:
		if tags == 0 && (bytes.Equal(frame[:6], paeGroup[:]) || !egress && bytes.Equal(frame[:6], portAddress[:])) {
			return portVerdictEAPOL, FlowID{}
		}
		return portVerdictCLEAR, FlowID{}
	case 0x0800:
		p, ok = model4(rest)
	case 0x86dd:
		if p, ok = model6(rest); ok && m.discovers(p, rest) {
			return portVerdictCLEAR, FlowID{}
		}
	default:
		return modelOther(kind, rest), FlowID{}
	}
	if !ok {
		return portVerdictPROTECTED, FlowID{}
	}
	if id, ok := m.tunnel(p, egress); ok {
		return portVerdictTUNNEL, id
	}
	if m.protects(p.source) || m.protects(p.destination) || m.carries(p) {
		return portVerdictPROTECTED, FlowID{}
	}
	return portVerdictCLEAR, FlowID{}
}

// discovers tells neighbour discovery that goes to no protected host.
func (m model) discovers(p modelPacket, b []byte) bool {
	if b[6] != 58 || b[7] != 255 || len(b) <= 40 || b[40] < 133 || b[40] > 137 {
		return false
	}
	if router := b[40] == 134 || b[40] == 137; router && !p.source.IsLinkLocalUnicast() {
		return false
	}
	return p.destination.IsMulticast() || p.destination.IsLinkLocalUnicast() || !m.protects(p.destination)
}

func modelOther(kind uint16, rest []byte) portVerdict {
	bridge := kind < 0x600 && len(rest) >= 2 && rest[0] == 0x42 && rest[1] == 0x42
	if bridge || slices.Contains([]uint16{0x0806, 0x8809, 0x888e, 0x88cc, 0x88f7, 0x8902, 0x9000}, kind) {
		return portVerdictCLEAR
	}
	return portVerdictPROTECTED
}

func from(b []byte, n int) []byte { return b[min(n, len(b)):] }

func model4(b []byte) (p modelPacket, ok bool) {
	if len(b) < 20 || b[0]>>4 != 4 || b[0]&15 < 5 {
		return p, false
	}
	header := int(b[0]&15) * 4
	for at, n := 20, 0; at < header; n++ {
		if n > 8 || at >= len(b) || b[at] == 131 || b[at] == 137 {
			return p, false
		}
		if b[at] == 0 {
			break
		}
		if b[at] == 1 {
			at++
			continue
		}
		if at+1 >= len(b) || b[at+1] < 2 {
			return p, false
		}
		if at += int(b[at+1]); at > header {
			return p, false
		}
	}
	p.source, p.destination = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	p.protocol, p.rest = b[9], from(b, header)
	p.later = binary.BigEndian.Uint16(b[6:])&0x1fff != 0
	if p.protocol == 51 {
		return p, !p.later && p.skip()
	}
	return p, true
}

func model6(b []byte) (p modelPacket, ok bool) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return p, false
	}
	p.source, p.destination = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	p.protocol, p.rest = b[6], b[40:]
	return p, p.skip()
}

func modelExtension(p byte) bool {
	return slices.Contains([]byte{0, 43, 44, 51, 60, 135, 139, 140}, p)
}

// skip goes behind extension headers.
func (p *modelPacket) skip() bool {
	for octets, n := 0, 0; modelExtension(p.protocol); n++ {
		if n == 8 || len(p.rest) < 8 {
			return false
		}
		h, size := p.rest, 8
		switch {
		case p.protocol == 44:
			if binary.BigEndian.Uint16(h[2:])&0xfff8 != 0 {
				p.protocol, p.later = h[0], true
				return !modelExtension(p.protocol)
			}
		case p.protocol == 51:
			size = (int(h[1]) + 2) * 4
		case p.protocol == 43 && h[3] != 0:
			return false
		default:
			size = (int(h[1]) + 1) * 8
		}
		if octets += size; octets > 255 {
			return false
		}
		p.protocol, p.rest = h[0], from(h, size)
	}
	return true
}

// tunnel finds the flow that p is of.
func (m model) tunnel(p modelPacket, egress bool) (FlowID, bool) {
	local, remote := p.destination, p.source
	if egress {
		local, remote = remote, local
	}
	pair := func(protocol FlowProtocol, l, r uint16, spi uint32) FlowID {
		return FlowID{protocol, egress, netip.AddrPortFrom(local, l), netip.AddrPortFrom(remote, r), spi}
	}
	first := func(ids ...FlowID) (FlowID, bool) {
		for _, id := range ids {
			if m.ids[id] {
				return id, true
			}
		}
		return FlowID{}, false
	}
	b := p.rest
	switch {
	case p.protocol == 50 && p.later:
		return first(pair(ESP, 0, 0, 0))
	case p.protocol == 50 && len(b) >= 8 && binary.BigEndian.Uint32(b) != 0:
		return first(pair(ESP, 0, 0, binary.BigEndian.Uint32(b)), pair(ESP, 0, 0, 0))
	case p.protocol != 17 || p.later || len(b) < 8:
		return FlowID{}, false
	}
	l, r, size, in := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[4:]))-8, b[8:]
	if egress {
		l, r = r, l
	}
	if l == 4500 && r == 4500 {
		switch {
		case size == 1 && (len(in) == 0 || in[0] != 0xff) || size != 1 && len(in) < 8:
			return FlowID{}, false
		case size != 1 && binary.BigEndian.Uint32(in) != 0:
			return first(pair(ESP, 0, 0, binary.BigEndian.Uint32(in)), pair(ESP, 0, 0, 0))
		}
	}
	if id, ok := first(pair(IKE, l, r, 0), pair(WireGuard, l, r, 0)); ok {
		return id, true
	}
	if len(in) < 4 || in[1]|in[2]|in[3] != 0 || size < 0 {
		return FlowID{}, false
	}
	if in[0] == 1 && size == 148 || in[0] == 2 && size == 92 || in[0] == 3 && size == 64 || in[0] == 4 && size >= 32 {
		return first(FlowID{Protocol: WireGuard, Egress: egress, Local: netip.AddrPortFrom(local, l)})
	}
	return FlowID{}, false
}

func (m model) protects(a netip.Addr) bool {
	return slices.ContainsFunc(m.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// carries looks one level into what p has in clear.
func (m model) carries(p modelPacket) bool {
	switch p.protocol {
	case 4:
		return p.later || m.inner4(p.rest)
	case 41:
		return p.later || m.inner6(p.rest)
	case 47:
		return p.later || m.gre(p.rest)
	}
	return modelEncapsulates(p.protocol)
}

func modelEncapsulates(protocol byte) bool {
	return slices.Contains([]byte{4, 41, 47, 51, 55, 94, 97, 98, 108, 115, 137, 143}, protocol)
}

func (m model) inner4(b []byte) bool {
	return len(b) < 20 || b[0] != 0x45 || modelEncapsulates(b[9]) || m.protects(netip.AddrFrom4([4]byte(b[12:16]))) || m.protects(netip.AddrFrom4([4]byte(b[16:20])))
}

func (m model) inner6(b []byte) bool {
	if len(b) < 40 || b[0]>>4 != 6 || b[6] == 44 && len(b) < 48 {
		return true
	}
	next := b[6]
	if next == 44 {
		next = b[40]
	}
	return modelExtension(next) || modelEncapsulates(next) || m.protects(netip.AddrFrom16([16]byte(b[8:24]))) || m.protects(netip.AddrFrom16([16]byte(b[24:40])))
}

func (m model) gre(b []byte) bool {
	if len(b) < 4 || b[0]&0x4f != 0 || b[1] != 0 {
		return true
	}
	kind, header := binary.BigEndian.Uint16(b[2:]), 4
	for _, flag := range []byte{0x80, 0x20, 0x10} {
		if b[0]&flag != 0 {
			header += 4
		}
	}
	b = from(b, header)
	if kind == 0x6558 {
		if len(b) < 14 {
			return true
		}
		kind, b = binary.BigEndian.Uint16(b[12:]), b[14:]
		if kind == 0x0806 {
			return false
		}
	}
	switch kind {
	case 0x0800:
		return m.inner4(b)
	case 0x86dd:
		return m.inner6(b)
	}
	return true
}
