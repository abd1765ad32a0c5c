package inspect

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Protocol numbers of IP (IANA) that are asked for.
const (
	protoUDP = 17
	protoESP = 50
)

// datagram is an IP packet as far as tunnels are told by it.
type datagram struct {
	from, to netip.Addr
	protocol uint8
	dscp     uint8
	// later: a fragment that is not the first, so that its payload begins
	// somewhere.
	later bool
	// payload is what was captured of it, of length octets on the wire; of UDP
	// both without its header.
	payload          []byte
	length           int
	fromPort, toPort uint16 // of UDP; 0 of a later fragment
}

// ends are from and to for people, of UDP with their ports.
func (d *datagram) ends() Ends {
	if d.protocol != protoUDP || d.later {
		return Ends{d.from.String(), d.to.String(), d.dscp}
	}
	return Ends{netip.AddrPortFrom(d.from, d.fromPort).String(), netip.AddrPortFrom(d.to, d.toPort).String(), d.dscp}
}

// parseIP reads the IP packet that begins at data, and UDP's header in it; what
// is behind the packet's own length is padding. It is not ok if the header is
// malformed, or was not captured as far as needed.
func parseIP(etherType uint16, data []byte) (d datagram, ok bool) {
	switch etherType {
	case 0x0800:
		ok = d.parse4(data)
	case 0x86dd:
		ok = d.parse6(data)
	}
	if !ok || d.protocol != protoUDP || d.later {
		return d, ok
	}
	if len(d.payload) < 8 {
		return d, false
	}
	d.fromPort, d.toPort = binary.BigEndian.Uint16(d.payload), binary.BigEndian.Uint16(d.payload[2:])
	if n := int(binary.BigEndian.Uint16(d.payload[4:])); n >= 8 { // else: as long as the packet
		d.length = min(d.length, n)
	}
	d.payload = d.payload[8:min(len(d.payload), max(d.length, 8))]
	d.length = max(d.length-8, 0)
	return d, true
}

func (d *datagram) parse4(b []byte) bool {
	if len(b) < 20 || b[0]>>4 != 4 {
		return false
	}
	header := int(b[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = len(b) // of segmentation offload, captured before it is cut
	}
	if header < 20 || total < header || len(b) < header {
		return false
	}
	d.dscp, d.protocol = b[1]>>2, b[9]
	d.later = binary.BigEndian.Uint16(b[6:])&0x1fff != 0
	d.from, d.to = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	d.payload, d.length = b[header:min(len(b), total)], total-header
	return true
}

// maxExtensions bounds the extension headers of IPv6 that are gone through.
const maxExtensions = 8

func (d *datagram) parse6(b []byte) bool {
	if len(b) < 40 || b[0]>>4 != 6 {
		return false
	}
	d.dscp = uint8(binary.BigEndian.Uint16(b)>>4) >> 2
	d.protocol = b[6]
	d.from, d.to = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	d.length = int(binary.BigEndian.Uint16(b[4:]))
	if d.length == 0 {
		d.length = len(b) - 40
	}
	d.payload = b[40:min(len(b), 40+d.length)]
	for range maxExtensions {
		size := 0
		switch d.protocol {
		case 0, 43, 60: // hop by hop, routing, destination options (RFC 8200, 4)
			if len(d.payload) < 8 {
				return false
			}
			size = 8 + 8*int(d.payload[1])
		case 44:
			if len(d.payload) < 8 {
				return false
			}
			d.later = d.later || binary.BigEndian.Uint16(d.payload[2:])&0xfff8 != 0
			size = 8
		default:
			return true
		}
		if len(d.payload) < size {
			return false
		}
		d.protocol, d.payload, d.length = d.payload[0], d.payload[size:], d.length-size
		if d.later {
			return true
		}
	}
	return false
}

// protocolName is a protocol's for people.
func protocolName(p uint8) string {
	switch p {
	case 1:
		return "ICMP"
	case 6:
		return "TCP"
	case protoUDP:
		return "UDP"
	case 58:
		return "ICMPv6"
	}
	return "protocol " + strconv.Itoa(int(p))
}
