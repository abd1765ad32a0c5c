package gso

import (
	"bytes"
	"slices"
	"testing"
)

// seeds are packets of every kind.
func seeds(f *testing.F, add func(h Header, frame []byte)) {
	f.Helper()
	for _, udp := range []bool{false, true} {
		for _, v6 := range []bool{false, true} {
			s, _ := pair(udp, v6, nil)
			s.payload = s.payload[:90]
			add(s.super(40))
			s.tags, s.ipOptions = sTag, []byte{1, 1, 1, 0}
			s.extension = []byte{0, 0, 1, 4, 0, 0, 0, 0}
			add(s.super(40))
			h, frame := s.super(0)
			h.Type = None
			add(h, frame)
		}
	}
}

// FuzzSplit: whatever the host writes, no frame is longer than the packet, and
// together they hold no more payload than it had.
func FuzzSplit(f *testing.F) {
	seeds(f, func(h Header, frame []byte) {
		b := make([]byte, HeaderLen)
		h.Encode(b)
		f.Add(b, frame, uint8(32))
	})
	f.Fuzz(func(t *testing.T, header, frame []byte, gap uint8) {
		if len(header) < HeaderLen {
			return
		}
		var h Header
		h.Decode(header)
		var s Splitter
		before := slices.Clone(frame)
		if s.Begin(h, frame) != nil {
			if n, err := s.Next(nil, 0); n != 0 || err != nil {
				t.Fatalf("Next gives %d, %v of a malformed packet", n, err)
			}
			return
		}
		dst := make([]byte, len(frame)+int(gap))
		if n, err := s.Next(dst[:12], 0); err == nil {
			t.Fatalf("12 octets hold a frame of %d", n)
		}
		headers, payload := 0, 0
		if h.Type != None {
			headers = s.at.payload
		}
		for {
			n, err := s.Next(dst, int(gap))
			if err != nil || n > len(frame) {
				t.Fatalf("Next gives %d, %v of %d octets", n, err, len(frame))
			}
			if n == 0 {
				break
			}
			if n-headers > int(h.Size) && h.Type != None {
				t.Fatalf("%d octets of payload in segments of %d", n-headers, h.Size)
			}
			payload += n - headers
		}
		if payload > len(frame)-headers {
			t.Fatalf("%d octets of payload came, %d left", len(frame)-headers, payload)
		}
		if !bytes.Equal(frame, before) {
			t.Fatal("the packet was changed")
		}
	})
}

// FuzzCoalesce cuts its input into frames: each comes out once, alone and
// unchanged or in a packet that segments to the frames that came.
func FuzzCoalesce(f *testing.F) {
	seeds(f, func(h Header, frame []byte) {
		var s Splitter
		var in []byte
		for _, b := range split(f, &s, h, frame, 0) {
			in = append(append(in, byte(len(b))), b...)
		}
		f.Add(in)
	})
	f.Fuzz(func(t *testing.T, in []byte) {
		c := NewCoalescer(CoalescerOptions{UDP: true, Frames: 4})
		var frames [][]byte
		for len(in) > 0 {
			n := min(int(in[0]), len(in)-1)
			frames = append(frames, slices.Clone(in[1:1+n]))
			c.Add(slices.Clone(in[1 : 1+n]))
			in = in[1+n:]
		}
		var s Splitter
		var out, want [][]byte
		for _, p := range c.Packets() {
			h, b := packetOf(p)
			if h.Type == None {
				out = append(out, b)
				continue
			}
			for _, b := range split(t, &s, h, b, 0) {
				out = append(out, stripped(b))
			}
		}
		// Any order: that of a flow is TestOrderAndContent's. A frame that was
		// joined lost its padding, its ID and how its checksum wrote zero.
		for _, b := range frames {
			if i := slices.IndexFunc(out, func(o []byte) bool { return bytes.Equal(o, b) }); i >= 0 {
				out = slices.Delete(out, i, i+1)
				continue
			}
			want = append(want, stripped(b))
		}
		slices.SortFunc(out, bytes.Compare)
		slices.SortFunc(want, bytes.Compare)
		equalFrames(t, "left over", out, want)
	})
}

// stripped is a frame of a super-packet without what is lost in one.
func stripped(frame []byte) []byte {
	var l layout
	if l.parse(frame) != nil || l.payload == 0 {
		return frame
	}
	b := slices.Clone(frame[:l.end])
	if !l.v6 {
		copy(b[l.l3+4:], []byte{0, 0})
		copy(b[l.l3+10:], []byte{0, 0})
	}
	field := l.l4 + tcpCsum
	if l.proto == protoUDP {
		field = l.l4 + udpCsum
	}
	copy(b[field:], []byte{0, 0})
	return b
}
