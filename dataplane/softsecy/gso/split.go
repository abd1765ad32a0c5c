package gso

import (
	"encoding/binary"
	"errors"
)

// What is wrong with a virtio_net_hdr, or with what Next was given.
var (
	ErrType     = errors.New("virtio_net_hdr has a GSO type that was not offered, or not the packet's")
	ErrSize     = errors.New("virtio_net_hdr has GSO with a segment size of 0")
	ErrCsum     = errors.New("virtio_net_hdr has its checksum where the packet has none")
	ErrShortDst = errors.New("buffer is too short for the next frame; give it more")
)

const (
	tcpFIN = 0x01
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpPSH = 0x08
	tcpACK = 0x10
	tcpURG = 0x20
	tcpCWR = 0x80

	tcpCsum = 16 // offset of the checksum in TCP's header
	udpCsum = 6
)

// Splitter cuts one packet of the host into finished frames, with the headers
// and checksums that the host's own software GSO would give them. The zero
// value is ready; it is reused without allocation.
type Splitter struct {
	frame []byte
	at    layout
	// more: Next has something to give.
	more bool
	// segment: frame is a super-packet; else it leaves in one piece.
	segment bool
	// csum and field are CsumStart and the checksum's offset in a frame that
	// leaves in one piece; 0: it is finished.
	csum, field int
	size        int // payload per segment
	off         int // how much of the payload is sent
	// ipSum and l4Sum are the sums of what all segments' headers share: of
	// IPv4's header, and of the pseudo-header and TCP's or UDP's.
	ipSum, l4Sum uint64
}

// Begin takes a packet: h and an Ethernet frame, which it keeps, and does not
// change, until the last Next. An error says what is malformed: then Next has
// nothing to give. Octets beyond the length that IP tells are not sent with a
// super-packet.
func (s *Splitter) Begin(h Header, frame []byte) error {
	*s = Splitter{frame: frame}
	if len(frame) < etherLen {
		return ErrShort
	}
	csum := int(h.CsumStart)
	field := csum + int(h.CsumOffset)
	if h.Flags&NeedsCsum != 0 {
		if csum < etherLen || field+2 > len(frame) {
			return ErrCsum
		}
	} else {
		csum, field = 0, 0
	}
	if h.Type == None {
		s.csum, s.field, s.more = csum, field, true
		return nil
	}
	return s.beginSegments(h, csum, field)
}

func (s *Splitter) beginSegments(h Header, csum, field int) error {
	if err := s.at.parse(s.frame); err != nil {
		return err
	}
	l, in := &s.at, s.at.l4
	switch {
	case h.Type&^ECN == TCPv4 && !l.v6 && l.proto == protoTCP,
		h.Type&^ECN == TCPv6 && l.v6 && l.proto == protoTCP:
		in += tcpCsum
	case h.Type == UDPL4 && l.proto == protoUDP:
		in += udpCsum
	default:
		return ErrType
	}
	if h.Size == 0 {
		return ErrSize
	}
	if csum != 0 && (csum != l.l4 || field != in) {
		return ErrCsum
	}
	s.size = int(h.Size)
	s.sumHeaders(csum != 0)
	s.segment, s.more = true, true
	return nil
}

// sumHeaders fills ipSum and l4Sum. What the host put into an open checksum is
// kept, but for the length in it: under a routing header it alone knows the
// pseudo-header's destination.
func (s *Splitter) sumHeaders(open bool) {
	l := &s.at
	ip, l4 := s.frame[l.l3:l.l4], s.frame[l.l4:l.payload]
	if !l.v6 {
		// Without length, ID and checksum.
		s.ipSum = sum(ip[:2]) + sum(ip[6:10]) + sum(ip[12:])
	}
	n := l.end - l.l4
	if l.proto == protoUDP {
		s.l4Sum = sum(l4[:4])
		if open {
			// As Linux: less the length that the header tells.
			n = int(binary.BigEndian.Uint16(l4[4:]))
			s.l4Sum += sum(l4[udpCsum:]) + uint64(^uint16(n))
			return
		}
	} else {
		// Without sequence number, flags and checksum.
		s.l4Sum = sum(l4[:4]) + sum(l4[8:12]) + uint64(l4[12])<<8 + sum(l4[14:16]) + sum(l4[18:])
		if open {
			s.l4Sum += sum(l4[tcpCsum:tcpCsum+2]) + uint64(^uint16(n))
			return
		}
	}
	s.l4Sum += l.pseudo(s.frame, 0)
}

// Next writes the next frame to dst: its addresses, 12 octets, to the start,
// the rest, EtherType on, from dst[12+gap:]. It returns the frame's length
// without the gap; 0: there is no more. After ErrShortDst the same frame is
// still the next.
func (s *Splitter) Next(dst []byte, gap int) (n int, err error) {
	if !s.more {
		return 0, nil
	}
	if s.segment {
		return s.nextSegment(dst, gap)
	}
	n = len(s.frame)
	if gap < 0 || len(dst)-n < gap {
		return 0, ErrShortDst
	}
	s.more = false
	copy(dst[:addrsLen], s.frame)
	if s.csum == 0 {
		copy(dst[addrsLen+gap:], s.frame[addrsLen:])
		return n, nil
	}
	copy(dst[addrsLen+gap:], s.frame[addrsLen:s.csum])
	sum := copySum(dst[s.csum+gap:], s.frame[s.csum:])
	putCsum(dst[s.field+gap:], sum)
	return n, nil
}

func (s *Splitter) nextSegment(dst []byte, gap int) (int, error) {
	l := &s.at
	n := min(s.size, l.end-l.payload-s.off)
	total := l.payload + n
	if gap < 0 || len(dst)-total < gap {
		return 0, ErrShortDst
	}
	last := l.payload+s.off+n == l.end
	copy(dst[:addrsLen], s.frame)
	copy(dst[addrsLen+gap:], s.frame[addrsLen:l.payload])
	out := dst[gap : gap+total] // offsets as in frame, from EtherType on
	rest := copySum(out[l.payload:], s.frame[l.payload+s.off:][:n])

	ip, l4 := out[l.l3:l.l4], out[l.l4:l.payload]
	if l.v6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(total-l.l3-ipv6Len))
	} else {
		id := binary.BigEndian.Uint16(ip[4:]) + uint16(s.off/s.size)
		binary.BigEndian.PutUint16(ip[2:], uint16(total-l.l3))
		binary.BigEndian.PutUint16(ip[4:], id)
		binary.BigEndian.PutUint16(ip[10:], ^fold(s.ipSum+uint64(total-l.l3)+uint64(id)))
	}
	length := uint64(total - l.l4)
	if l.proto == protoUDP {
		binary.BigEndian.PutUint16(l4[4:], uint16(length))
		putCsum(l4[udpCsum:], s.l4Sum+2*length+rest)
	} else {
		seq := binary.BigEndian.Uint32(l4[4:]) + uint32(s.off)
		if !last {
			l4[13] &^= tcpFIN | tcpPSH
		}
		if s.off > 0 {
			l4[13] &^= tcpCWR
		}
		binary.BigEndian.PutUint32(l4[4:], seq)
		binary.BigEndian.PutUint16(l4[tcpCsum:], ^fold(s.l4Sum+length+uint64(seq)+uint64(l4[13])+rest))
	}
	s.off += n
	s.more = !last
	return total, nil
}

// putCsum writes the checksum of what adds up to s. 0 is written as 0xffff,
// its equal, since in UDP 0 means that there is none.
func putCsum(b []byte, s uint64) {
	c := ^fold(s)
	if c == 0 {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(b, c)
}
