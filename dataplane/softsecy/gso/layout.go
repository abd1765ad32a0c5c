package gso

import (
	"encoding/binary"
	"errors"
)

const (
	etherLen = 14 // addresses and EtherType
	addrsLen = 12
	// maxTags bounds the walk over VLAN tags.
	maxTags = 8

	typeIPv4 = 0x0800
	typeIPv6 = 0x86DD
	typeCTag = 0x8100
	typeSTag = 0x88A8

	ipv4Len = 20 // without options
	ipv6Len = 40 // without extension headers
	tcpLen  = 20 // without options
	udpLen  = 8

	protoTCP = 6
	protoUDP = 17

	// IPv6 extension headers that may stand before TCP or UDP.
	hopByHop    = 0
	routing     = 43
	fragment    = 44
	destOptions = 60
)

// What is wrong with a packet.
var (
	ErrShort    = errors.New("packet is cut short within its headers")
	ErrLength   = errors.New("IP length is not that of the packet")
	ErrIPHeader = errors.New("IP header has another version or an impossible length")
	ErrTags     = errors.New("packet has more than 8 VLAN tags")
	ErrTCP      = errors.New("TCP header has an impossible length")
	ErrFragment = errors.New("packet is an IP fragment")
	errNotIP    = errors.New("packet is not IP")
)

// layout tells where a frame's headers are. Offsets are from the frame's
// start.
type layout struct {
	l3, l4 int
	// payload is where TCP's or UDP's payload begins; 0 under any other
	// protocol.
	payload int
	// end is where the IP packet ends; padding may follow.
	end   int
	v6    bool
	proto uint8
}

// plain: the IP header has no options and no extension headers.
func (l *layout) plain() bool {
	if l.v6 {
		return l.l4-l.l3 == ipv6Len
	}
	return l.l4-l.l3 == ipv4Len
}

// parse finds the headers of a frame, which it does not trust, and leaves no
// offset beyond the frame. An error is errNotIP, or says what is malformed.
func (l *layout) parse(frame []byte) error {
	*l = layout{l3: etherLen}
	if len(frame) < etherLen {
		return ErrShort
	}
	typ := binary.BigEndian.Uint16(frame[addrsLen:])
	for tags := 0; typ == typeCTag || typ == typeSTag; tags++ {
		if tags == maxTags {
			return ErrTags
		}
		if len(frame) < l.l3+4 {
			return ErrShort
		}
		typ = binary.BigEndian.Uint16(frame[l.l3+2:])
		l.l3 += 4
	}
	var err error
	switch typ {
	case typeIPv4:
		err = l.ipv4(frame[l.l3:])
	case typeIPv6:
		l.v6 = true
		err = l.ipv6(frame[l.l3:])
	default:
		err = errNotIP
	}
	if err != nil {
		return err
	}
	switch l.proto {
	case protoTCP:
		if l.end-l.l4 < tcpLen {
			return ErrShort
		}
		n := int(frame[l.l4+12]>>4) * 4
		if n < tcpLen || n > l.end-l.l4 {
			return ErrTCP
		}
		l.payload = l.l4 + n
	case protoUDP:
		if l.end-l.l4 < udpLen {
			return ErrShort
		}
		l.payload = l.l4 + udpLen
	}
	return nil
}

func (l *layout) ipv4(ip []byte) error {
	if len(ip) < ipv4Len {
		return ErrShort
	}
	header, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
	switch {
	case ip[0]>>4 != 4 || header < ipv4Len:
		return ErrIPHeader
	case total < header || total > len(ip):
		return ErrLength
	case binary.BigEndian.Uint16(ip[6:])&0x3fff != 0:
		return ErrFragment
	}
	l.proto, l.l4, l.end = ip[9], l.l3+header, l.l3+total
	return nil
}

func (l *layout) ipv6(ip []byte) error {
	if len(ip) < ipv6Len {
		return ErrShort
	}
	total := ipv6Len + int(binary.BigEndian.Uint16(ip[4:]))
	switch {
	case ip[0]>>4 != 6:
		return ErrIPHeader
	case total > len(ip):
		return ErrLength
	}
	ip = ip[:total]
	next, at := ip[6], ipv6Len
	for next == hopByHop || next == routing || next == destOptions {
		if at+8 > len(ip) {
			return ErrShort
		}
		n := 8 + 8*int(ip[at+1])
		if at+n > len(ip) {
			return ErrShort
		}
		next, at = ip[at], at+n
	}
	if next == fragment {
		return ErrFragment
	}
	l.proto, l.l4, l.end = next, l.l3+at, l.l3+total
	return nil
}

// pseudo is the sum of the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1) for n
// octets from l4 on.
func (l *layout) pseudo(frame []byte, n int) uint64 {
	addrs := frame[l.l3+12 : l.l3+20]
	if l.v6 {
		addrs = frame[l.l3+8 : l.l3+40]
	}
	return sum(addrs) + uint64(l.proto) + uint64(n)
}
