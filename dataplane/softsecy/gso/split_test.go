package gso

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var (
	cTag = []byte{0x81, 0x00, 0x20, 0x05}
	sTag = []byte{0x88, 0xa8, 0x00, 0x07}
	// timestamps are TCP's options of nearly every segment.
	timestamps = []byte{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}
)

// anySegment draws the headers of a TCP or UDP packet.
func anySegment(t *rapid.T) segment {
	s := segment{
		tags:   slices.Concat(rapid.SampledFrom([][]byte{nil, cTag, slices.Concat(sTag, cTag), bytes.Repeat(cTag, 8)}).Draw(t, "tags")),
		v6:     rapid.Bool().Draw(t, "v6"),
		udp:    rapid.Bool().Draw(t, "udp"),
		host:   rapid.Uint16().Draw(t, "host"),
		port:   rapid.Uint16().Draw(t, "port"),
		tos:    rapid.Uint8().Draw(t, "tos"),
		ttl:    rapid.Uint8().Draw(t, "ttl"),
		df:     rapid.Bool().Draw(t, "df"),
		id:     rapid.Uint16().Draw(t, "id"),
		label:  rapid.Uint32Max(1<<20-1).Draw(t, "label"),
		seq:    rapid.Uint32().Draw(t, "seq"),
		ack:    rapid.Uint32().Draw(t, "ack"),
		window: rapid.Uint16().Draw(t, "window"),
		flags:  0x10 | rapid.SampledFrom([]uint8{0, 0x08, 0x01, 0x09, 0x40, 0x80, 0xc8, 0x89}).Draw(t, "flags"),
	}
	if !s.udp {
		s.options = rapid.SampledFrom([][]byte{nil, timestamps, bytes.Repeat([]byte{1}, 40)}).Draw(t, "options")
	}
	return s
}

func TestSplitIsSegmentation(t *testing.T) {
	var sp Splitter
	rapid.Check(t, func(t *rapid.T) {
		s := anySegment(t)
		s.ipOptions = rapid.SampledFrom([][]byte{nil, {1, 1, 1, 0}, bytes.Repeat([]byte{1}, 40)}).Draw(t, "ip options")
		s.extension = rapid.SampledFrom([][]byte{
			nil,
			{0, 0, 1, 4, 0, 0, 0, 0},
			{0, 0, 1, 4, 0, 0, 0, 0, 60, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		}).Draw(t, "extension")
		size := rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(500, 9000)).Draw(t, "size")
		most := min(65535-150, size*64)
		s.payload = octets(rapid.OneOf(rapid.IntRange(0, most), rapid.Just(most/size*size)).Draw(t, "payload"), int(s.seq))
		gap := rapid.IntRange(0, 64).Draw(t, "gap")

		h, frame := s.super(size)
		if rapid.Bool().Draw(t, "padded") {
			frame = append(frame, 0xee, 0xee)
		}
		before := slices.Clone(frame)
		got := split(t, &sp, h, frame, gap)
		equalFrames(t, "split", got, s.cut(size))
		for _, f := range got {
			checkFrame(t, f)
		}
		if !bytes.Equal(frame, before) {
			t.Fatal("the packet was changed")
		}
		// Without an open checksum all is computed anew.
		h.Flags, h.CsumStart, h.CsumOffset = 0, 0, 0
		equalFrames(t, "without NEEDS_CSUM", split(t, &sp, h, frame, gap), got)
	})
}

// TestSplitRouting: the pseudo-header has the address where the packet ends
// its way; only the host's open checksum knows it.
func TestSplitRouting(t *testing.T) {
	for _, udp := range []bool{false, true} {
		s := segment{v6: true, udp: udp, ttl: 64, flags: 0x18, payload: octets(5000, 1)}
		s.extension = append([]byte{43, 2, 2, 1, 0, 0, 0, 0}, octets(16, 2)...)
		h, frame := s.super(1400)
		field := frame[h.CsumStart+h.CsumOffset:]
		final := naive(octets(16, 2))
		was := naive(frame[14+24 : 14+40])
		binary.BigEndian.PutUint16(field, fold(uint64(binary.BigEndian.Uint16(field))+uint64(^was)+uint64(final)))
		var sp Splitter
		for i, got := range split(t, &sp, h, frame, 0) {
			want := s.cut(1400)[i]
			// The rule of RFC 8200, 8.1: the sum over it all, with the final
			// address in the place of the destination's.
			for _, f := range [][]byte{want, got} {
				copy(f[14+24:], octets(16, 2))
			}
			in := want[h.CsumStart:]
			binary.BigEndian.PutUint16(in[h.CsumOffset:], 0)
			pseudo := binary.BigEndian.AppendUint32(slices.Clone(want[14+8:14+40]), uint32(len(in)))
			proto := byte(6)
			if udp {
				proto = 17
			}
			c := ^naive(append(append(pseudo, 0, 0, 0, proto), in...))
			binary.BigEndian.PutUint16(in[h.CsumOffset:], c)
			if !bytes.Equal(got, want) {
				t.Fatalf("udp %v, frame %d\n got %x\nwant %x", udp, i, got[:90], want[:90])
			}
		}
	}
}

// TestSplitUDPZero: a datagram whose sum comes to 0 is sent with 0xffff.
func TestSplitUDPZero(t *testing.T) {
	var sp Splitter
	s := segment{udp: true, ttl: 1, payload: []byte{0, 0, 1, 2}}
	c := binary.BigEndian.Uint16(s.frame()[14+20+6:])
	binary.BigEndian.PutUint16(s.payload, c) // what the sum lacks
	if c = binary.BigEndian.Uint16(s.frame()[14+20+6:]); c != 0xffff {
		t.Fatalf("the test's own datagram has %#x", c)
	}
	h, frame := s.super(4)
	equalFrames(t, "USO", split(t, &sp, h, frame, 0), [][]byte{s.frame()})
	h.Type, h.Size = None, 0
	equalFrames(t, "NEEDS_CSUM", split(t, &sp, h, frame, 5), [][]byte{s.frame()})
}

func TestSplitChecksumOnly(t *testing.T) {
	var sp Splitter
	rapid.Check(t, func(t *rapid.T) {
		s := anySegment(t)
		s.payload = octets(rapid.IntRange(0, 3000).Draw(t, "payload"), 3)
		h, frame := s.super(0)
		h.Type, h.Size = None, 0
		want := s.frame()
		if c := want[h.CsumStart+h.CsumOffset:]; c[0]|c[1] == 0 {
			c[0], c[1] = 0xff, 0xff // as Linux writes it, of any protocol
		}
		equalFrames(t, "split", split(t, &sp, h, frame, rapid.IntRange(0, 40).Draw(t, "gap")), [][]byte{want})
	})
}

// TestSplitUnchanged: what is finished or not IP passes.
func TestSplitUnchanged(t *testing.T) {
	var sp Splitter
	for _, f := range [][]byte{
		segment{payload: octets(100, 1)}.frame(),
		append([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 6}, octets(46, 1)...),
		octets(14, 9),
	} {
		for _, flags := range []uint8{0, DataValid} {
			equalFrames(t, "split", split(t, &sp, Header{Flags: flags, CsumStart: 9}, f, 32), [][]byte{f})
		}
	}
}

func TestSplitErrors(t *testing.T) {
	tcp := segment{flags: 0x10, ttl: 64, payload: octets(3000, 1)}
	h4, f4 := tcp.super(1000)
	tcp.v6 = true
	h6, f6 := tcp.super(1000)
	fragment6 := segment{v6: true, flags: 0x10, extension: []byte{44, 0, 0, 1, 0, 0, 0, 1}, payload: octets(3000, 1)}
	hf, ff := fragment6.super(1000)
	with := func(f []byte, at int, v ...byte) []byte {
		f = slices.Clone(f)
		copy(f[at:], v)
		return f
	}
	header := func(h Header, change func(*Header)) Header { change(&h); return h }
	for name, c := range map[string]struct {
		h     Header
		frame []byte
		want  error
	}{
		"no frame":              {h4, nil, ErrShort},
		"13 octets":             {Header{}, f4[:13], ErrShort},
		"Ethernet only":         {h4, f4[:14], ErrCsum},
		"tag cut short":         {Header{Type: TCPv4, Size: 9}, append(with(f4, 12, 0x81, 0)[:14], 1), ErrShort},
		"9 tags":                {Header{Type: TCPv4, Size: 9}, segment{tags: bytes.Repeat(cTag, 9)}.frame(), ErrTags},
		"IPv4 cut short":        {Header{Type: TCPv4, Size: 9}, f4[:33], ErrShort},
		"IPv6 cut short":        {Header{Type: TCPv6, Size: 9}, f6[:53], ErrShort},
		"total length":          {h4, f4[:len(f4)-1], ErrLength},
		"payload length":        {h6, f6[:len(f6)-1], ErrLength},
		"version":               {h4, with(f4, 14, 0x65), ErrIPHeader},
		"version 6":             {h6, with(f6, 14, 0x40), ErrIPHeader},
		"IHL 4":                 {h4, with(f4, 14, 0x44), ErrIPHeader},
		"total under IHL":       {h4, with(f4, 16, 0, 19), ErrLength},
		"fragment":              {h4, with(f4, 20, 0x20, 0), ErrFragment},
		"fragment 6":            {hf, ff, ErrFragment},
		"TCP offset 4":          {h4, with(f4, 14+20+12, 0x40), ErrTCP},
		"TCP offset past end":   {h4, with(f4[:14+40], 16, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0), ErrTCP},
		"TCP offset in padding": {h4, with(f4[:14+80], 16, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0), ErrTCP},
		"endless extensions":    {h6, with(f6, 14+6, make([]byte, len(f6)-20)...), ErrShort},
		"TCPv6 of IPv4":         {header(h4, func(h *Header) { h.Type = TCPv6 }), f4, ErrType},
		"TCPv4 of IPv6":         {header(h6, func(h *Header) { h.Type = TCPv4 }), f6, ErrType},
		"UDP_L4 of TCP":         {header(h4, func(h *Header) { h.Type = UDPL4 }), f4, ErrType},
		"UFO":                   {header(h4, func(h *Header) { h.Type = 3 }), f4, ErrType},
		"ECN of UDP":            {header(h4, func(h *Header) { h.Type = UDPL4 | ECN }), with(f4, 14+9, 17), ErrType},
		"ICMP":                  {h4, with(f4, 14+9, 1), ErrType},
		"not IP":                {h4, with(f4, 12, 8, 6), errNotIP},
		"size 0":                {header(h4, func(h *Header) { h.Size = 0 }), f4, ErrSize},
		"checksum elsewhere":    {header(h4, func(h *Header) { h.CsumStart++ }), f4, ErrCsum},
		"UDP's checksum":        {header(h4, func(h *Header) { h.CsumOffset = 6 }), f4, ErrCsum},
		"checksum in Ethernet":  {Header{Flags: NeedsCsum, CsumStart: 13, CsumOffset: 4}, f4, ErrCsum},
		"checksum past end":     {Header{Flags: NeedsCsum, CsumStart: 14, CsumOffset: uint16(len(f4) - 15)}, f4, ErrCsum},
		"checksum far":          {Header{Flags: NeedsCsum, CsumStart: 65535, CsumOffset: 65535}, f4, ErrCsum},
	} {
		t.Run(name, func(t *testing.T) {
			var s Splitter
			if err := s.Begin(c.h, c.frame); !errors.Is(err, c.want) {
				t.Errorf("Begin: %v, want %v", err, c.want)
			}
			if n, err := s.Next(make([]byte, 100), 0); n != 0 || err != nil {
				t.Errorf("Next gives %d, %v", n, err)
			}
		})
	}
}

func TestNextShortDst(t *testing.T) {
	s := segment{flags: 0x18, payload: octets(2500, 1)}
	h, super := s.super(1000)
	h1, one := s.super(0)
	h1.Type = None
	for name, c := range map[string]struct {
		h     Header
		frame []byte
		want  [][]byte
	}{
		"segments": {h, super, s.cut(1000)},
		"open":     {h1, one, [][]byte{s.frame()}},
		"finished": {Header{}, s.frame(), [][]byte{s.frame()}},
	} {
		var sp Splitter
		if err := sp.Begin(c.h, c.frame); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			for _, short := range []struct{ n, gap int }{{len(want) + 15, 16}, {0, 0}, {len(want), -1}, {len(want), 1 << 62}} {
				if n, err := sp.Next(make([]byte, short.n), short.gap); n != 0 || !errors.Is(err, ErrShortDst) {
					t.Fatalf("%s: Next(%d octets, gap %d) gives %d, %v", name, short.n, short.gap, n, err)
				}
			}
			dst := bytes.Repeat([]byte{0xee}, len(want)+16)
			n, err := sp.Next(dst, 16)
			if err != nil || n != len(want) || !bytes.Equal(slices.Concat(dst[:12], dst[28:]), want) {
				t.Fatalf("%s: Next gives %d, %v, %x; want %d, %x", name, n, err, dst, len(want), want)
			}
			if !bytes.Equal(dst[12:28], bytes.Repeat([]byte{0xee}, 16)) {
				t.Fatalf("%s: the gap was written to: %x", name, dst[12:28])
			}
		}
		if n, err := sp.Next(nil, 0); n != 0 || err != nil {
			t.Fatalf("%s: after the last, Next gives %d, %v", name, n, err)
		}
	}
}

func TestHeader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Header{
			rapid.Uint8().Draw(t, "flags"), rapid.Uint8().Draw(t, "type"), rapid.Uint16().Draw(t, "hdr_len"),
			rapid.Uint16().Draw(t, "size"), rapid.Uint16().Draw(t, "start"), rapid.Uint16().Draw(t, "offset"),
		}
		b, n := make([]byte, HeaderLen), binary.NativeEndian
		h.Encode(b)
		// linux/virtio_net.h: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset.
		want := n.AppendUint16(n.AppendUint16(n.AppendUint16(n.AppendUint16([]byte{h.Flags, h.Type}, h.HdrLen), h.Size), h.CsumStart), h.CsumOffset)
		if !bytes.Equal(b, want) {
			t.Fatalf("%+v is encoded as %x", h, b)
		}
		var got Header
		got.Decode(b)
		if got != h {
			t.Fatalf("%+v comes back as %+v", h, got)
		}
	})
}
