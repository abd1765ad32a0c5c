package gso

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"pgregory.net/rapid"
)

// segment is a frame to build, field by field and apart from the code under
// test.
type segment struct {
	tags       []byte // VLAN tags: type, TCI
	v6, udp    bool
	host, port uint16
	tos, ttl   uint8
	df         bool
	id         uint16
	label      uint32 // flow label
	ipOptions  []byte // IPv4
	extension  []byte // IPv6: headers after the first, each starting with its type
	seq, ack   uint32
	flags      uint8
	window     uint16
	options    []byte
	payload    []byte
}

func (s segment) headerLen() int { return len(s.build(nil, 0)) }

// frame is the segment finished.
func (s segment) frame() []byte { return s.build(s.payload, finished) }

// super is the segment as a super-packet of the host: its checksum is open.
func (s segment) super(size int) (Header, []byte) {
	n := s.headerLen()
	l4 := n - 20 - len(s.options)
	h := Header{Flags: NeedsCsum, Type: TCPv4, HdrLen: uint16(n), Size: uint16(size), CsumOffset: 16}
	switch {
	case s.udp:
		l4 = n - 8
		h.Type, h.CsumOffset = UDPL4, 6
	case s.v6:
		h.Type = TCPv6
	}
	h.CsumStart = uint16(l4)
	if !s.udp && s.flags&0x80 != 0 {
		h.Type |= ECN
	}
	return h, s.build(s.payload, open)
}

// What build does about TCP's or UDP's checksum.
const (
	none = iota
	finished
	open
)

func (s segment) build(payload []byte, csum int) []byte {
	be := binary.BigEndian
	var l4 []byte
	proto, field := byte(6), 16
	l4 = be.AppendUint16(l4, s.port)
	l4 = be.AppendUint16(l4, 443)
	if s.udp {
		proto, field = 17, 6
		l4 = be.AppendUint16(l4, uint16(8+len(payload)))
		l4 = append(l4, 0, 0)
	} else {
		l4 = be.AppendUint32(l4, s.seq)
		l4 = be.AppendUint32(l4, s.ack)
		l4 = append(l4, byte(20+len(s.options))/4<<4, s.flags)
		l4 = be.AppendUint16(l4, s.window)
		l4 = append(append(l4, 0, 0, 0, 0), s.options...)
	}
	l4 = append(l4, payload...)

	ip, addrs := s.ip(proto, len(l4))
	pseudo := be.AppendUint32(slices.Clone(addrs), uint32(len(l4)))
	pseudo = be.AppendUint32(pseudo, uint32(proto))
	switch csum {
	case finished:
		c := ^naive(append(pseudo, l4...))
		if c == 0 && s.udp {
			c = 0xffff
		}
		be.PutUint16(l4[field:], c)
	case open:
		be.PutUint16(l4[field:], naive(pseudo))
	}
	f := append([]byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1}, s.tags...)
	if s.v6 {
		f = append(f, 0x86, 0xdd)
	} else {
		f = append(f, 0x08, 0x00)
	}
	return slices.Concat(f, ip, l4)
}

// ip is the IP header before n octets of proto, and the addresses.
func (s segment) ip(proto byte, n int) (ip, addrs []byte) {
	be := binary.BigEndian
	if s.v6 {
		addrs = append(addrs, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(s.host>>8), byte(s.host))
		addrs = append(addrs, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 9)
		ip = be.AppendUint32(nil, 6<<28|uint32(s.tos)<<20|s.label)
		ip = be.AppendUint16(ip, uint16(len(s.extension)+n))
		next := []byte{proto}
		var ext []byte
		for e := s.extension; len(e) > 0; {
			n := 8 + 8*int(e[1])
			next = append(next[:len(next)-1], e[0], proto)
			ext = append(ext, e[:n]...)
			e = e[n:]
		}
		// Each header tells the type of the next.
		at := 0
		for i := 1; i < len(next); i++ {
			n := 8 + 8*int(ext[at+1])
			ext[at] = next[i]
			at += n
		}
		return slices.Concat(ip, []byte{next[0], s.ttl}, addrs, ext), addrs
	}
	addrs = []byte{10, 0, byte(s.host >> 8), byte(s.host), 10, 1, 0, 9}
	header := 20 + len(s.ipOptions)
	ip = []byte{4<<4 | byte(header/4), s.tos}
	ip = be.AppendUint16(ip, uint16(header+n))
	ip = be.AppendUint16(ip, s.id)
	ip = append(ip, 0, 0, s.ttl, proto, 0, 0)
	if s.df {
		ip[6] = 0x40
	}
	ip = slices.Concat(ip, addrs, s.ipOptions)
	be.PutUint16(ip[10:], ^naive(ip))
	return ip, addrs
}

// cut is the segment's payload in finished frames of size octets each, by the
// rules of segmentation.
func (s segment) cut(size int) [][]byte {
	var out [][]byte
	for off := 0; off == 0 || off < len(s.payload); off += size {
		q := s
		q.payload = s.payload[off:min(off+size, len(s.payload))]
		q.seq += uint32(off)
		q.id += uint16(off / size)
		if off > 0 {
			q.flags &^= 0x80 // CWR
		}
		if off+size < len(s.payload) {
			q.flags &^= 0x09 // FIN, PSH
		}
		out = append(out, q.frame())
	}
	return out
}

// octets are n octets that differ from place to place.
func octets(n, seed int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// split is all that a Splitter makes of a packet, put together without the gap.
func split(t rapid.TB, s *Splitter, h Header, frame []byte, gap int) [][]byte {
	t.Helper()
	if err := s.Begin(h, frame); err != nil {
		t.Fatalf("Begin(%+v, %d octets): %v", h, len(frame), err)
	}
	var out [][]byte
	dst := make([]byte, 70000)
	for {
		n, err := s.Next(dst, gap)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return out
		}
		out = append(out, slices.Concat(dst[:12], dst[12+gap:n+gap]))
	}
}

// checkFrame has gopacket parse a frame and check its checksums.
func checkFrame(t rapid.TB, frame []byte) {
	t.Helper()
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	// Above the transport layer gopacket takes the payload for what the ports
	// promise, and errs.
	if p.TransportLayer() == nil {
		t.Fatalf("%x: %v has no transport layer", frame, p)
	}
	l4 := p.TransportLayer().(interface {
		SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
	})
	if err := l4.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
		t.Fatal(err)
	}
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
		t.Fatalf("%x: checksums: %v %v", frame, bad, err)
	}
}

func equalFrames(t rapid.TB, what string, got, want [][]byte) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("%s: frame %d of %d\n got %x\nwant %x", what, i, len(want), got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d frames, want %d", what, len(got), len(want))
	}
}
