package bpf

import (
	"cmp"
	"encoding/binary"
	"net/netip"
)

// Of tunnel.h: enum flow_kind.
const (
	flowESP = iota
	flowUDP
	flowRoam
)

func (id FlowID) compare(o FlowID) int {
	egress := func(f FlowID) int {
		if f.Egress {
			return 1
		}
		return 0
	}
	return cmp.Or(
		id.Local.Compare(o.Local),
		id.Remote.Compare(o.Remote),
		cmp.Compare(id.Protocol, o.Protocol),
		cmp.Compare(egress(id), egress(o)),
		cmp.Compare(id.SPI, o.SPI))
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// kind is that of the key: enum flow_kind and the direction.
func (id FlowID) kind() (kind uint32) {
	switch {
	case id.Protocol == ESP:
		kind = flowESP
	case !id.Remote.IsValid():
		kind = flowRoam
	default:
		kind = flowUDP
	}
	kind <<= 1
	if id.Egress {
		kind |= 1
	}
	return kind
}

// way are the ends as the packets have them.
func (id FlowID) way() (source, destination netip.AddrPort) {
	if id.Egress {
		return id.Local, id.Remote
	}
	return id.Remote, id.Local
}

// selector has its octets in memory as on the wire: an SPI, or two ports. What
// roams has that of Local, as the destination.
func (id FlowID) selector() uint32 {
	var b [4]byte
	source, destination := id.way()
	switch id.kind() >> 1 {
	case flowESP:
		binary.BigEndian.PutUint32(b[:], id.SPI)
	case flowUDP:
		binary.BigEndian.PutUint16(b[:], source.Port())
		binary.BigEndian.PutUint16(b[2:], destination.Port())
	case flowRoam:
		binary.BigEndian.PutUint16(b[2:], id.Local.Port())
	}
	return binary.NativeEndian.Uint32(b[:])
}

func (id FlowID) is4() bool { return id.Local.Addr().Is4() }

// key4 and key6 are where the maps have id, which is of that family.
func (id FlowID) key4() portFlow4 {
	var b [8]byte
	for i, end := range ends(id) {
		if end.IsValid() {
			a := end.As4()
			copy(b[i*4:], a[:])
		}
	}
	return portFlow4{Addresses: binary.NativeEndian.Uint64(b[:]), Selector: id.selector(), Kind: id.kind()}
}

func (id FlowID) key6() (k portFlow6) {
	for i, end := range ends(id) {
		if end.IsValid() {
			a := end.As16()
			k.Addresses[2*i] = binary.NativeEndian.Uint64(a[:])
			k.Addresses[2*i+1] = binary.NativeEndian.Uint64(a[8:])
		}
	}
	k.Selector, k.Kind = id.selector(), id.kind()
	return k
}

func ends(id FlowID) [2]netip.Addr {
	source, destination := id.way()
	return [2]netip.Addr{source.Addr(), destination.Addr()}
}

// id is the inverse of FlowID.key4 and key6.
func (k portFlow4) id(label uint32) FlowID {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], k.Addresses)
	return idOf(netip.AddrFrom4([4]byte(b[:4])), netip.AddrFrom4([4]byte(b[4:])), k.Selector, k.Kind, label)
}

func (k portFlow6) id(label uint32) FlowID {
	var b [32]byte
	for i, a := range k.Addresses {
		binary.NativeEndian.PutUint64(b[8*i:], a)
	}
	return idOf(netip.AddrFrom16([16]byte(b[:16])), netip.AddrFrom16([16]byte(b[16:])), k.Selector, k.Kind, label)
}

func idOf(source, destination netip.Addr, selector, kind, label uint32) FlowID {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], selector)
	from := netip.AddrPortFrom(source, 0)
	to := netip.AddrPortFrom(destination, 0)
	id := FlowID{Protocol: FlowProtocol(label), Egress: kind&1 == 1}
	switch kind >> 1 {
	case flowESP:
		id.SPI = binary.BigEndian.Uint32(b[:])
	case flowUDP:
		from = netip.AddrPortFrom(source, binary.BigEndian.Uint16(b[:]))
		to = netip.AddrPortFrom(destination, binary.BigEndian.Uint16(b[2:]))
	}
	if id.Egress {
		id.Local, id.Remote = from, to
	} else {
		id.Local, id.Remote = to, from
	}
	if kind>>1 == flowRoam {
		id.Local, id.Remote = netip.AddrPortFrom(id.Local.Addr(), binary.BigEndian.Uint16(b[2:])), netip.AddrPort{}
	}
	return id
}
