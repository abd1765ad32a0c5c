package gso

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSuperRoundTrip: what a Splitter cut a Coalescer joins again.
func TestSuperRoundTrip(t *testing.T) {
	var sp Splitter
	c := NewCoalescer(CoalescerOptions{UDP: true})
	rapid.Check(t, func(t *rapid.T) {
		s := anySegment(t)
		size := rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(500, 9000)).Draw(t, "size")
		most := min(65535-100, size*64)
		s.payload = octets(rapid.OneOf(rapid.IntRange(size+1, most), rapid.Just(most/size*size)).Draw(t, "payload"), int(s.seq))
		h, frame := s.super(size)
		got := coalesce(c, split(t, &sp, h, frame, 0)...)
		if len(got) != 1 {
			t.Fatalf("%d packets", len(got))
		}
		if gotH, f := packetOf(got[0]); gotH != h || !bytes.Equal(f, frame) {
			t.Fatalf("\n got %+v %x\nwant %+v %x", gotH, f[:90], h, frame[:90])
		}
	})
}

// stream is a flow of the test below: its frames in their order. The host part
// of the addresses names it, also in what has no ports.
type stream struct {
	frames [][]byte
	// fixed: the IPv4 ID stays the same, and means nothing.
	fixed bool
}

// anyStream draws a flow whose frames mostly, or all, join.
func anyStream(t *rapid.T, host int, friendly bool) (st stream) {
	s := anySegment(t)
	s.host = uint16(host)
	s.flags &^= 0x89
	size := rapid.IntRange(1, 1400).Draw(t, "size")
	st.fixed = !s.v6 && s.df && rapid.IntRange(0, 3).Draw(t, "fixed") == 0
	for range rapid.IntRange(1, 40).Draw(t, "frames") {
		q := s
		q.payload = octets(size, int(s.id))
		kind := 0
		if !friendly {
			kind = rapid.IntRange(0, 25).Draw(t, "kind")
		}
		switch kind {
		case 1:
			q.flags |= 0x08
		case 2:
			q.payload = q.payload[:rapid.IntRange(0, size).Draw(t, "short")]
		case 3:
			q.flags |= 0x80
		case 4:
			q.seq += 77
		case 5:
			q.window++
		case 6:
			q.ttl++
		case 7:
			q.tags = cTag
		case 8:
			q.ipOptions = []byte{1, 1, 1, 0}
		case 9:
			q.extension = []byte{0, 0, 1, 4, 0, 0, 0, 0}
		case 10:
			q.flags ^= 0x11
		}
		f := q.frame()
		ip := f[14+len(q.tags):]
		switch {
		case kind == 11:
			f[len(f)-1] ^= 1 // a wrong checksum
		case kind == 12 && !s.v6:
			ip[6] ^= 0x20 // a fragment
		case kind == 12:
			ip[4]++ // a wrong length
		case kind == 13 && !s.v6:
			ip[10] ^= 1 // a wrong header checksum
		case kind == 14:
			f = append(f, 0xee)
		}
		st.frames = append(st.frames, f)
		s.seq += uint32(len(q.payload))
		if !st.fixed {
			s.id++
		}
	}
	return st
}

// hostOf is the stream that a frame is of.
func hostOf(frame []byte) int {
	at := 14
	for frame[at-2] == 0x81 || frame[at-2] == 0x88 {
		at += 4
	}
	if frame[at-2] == 0x86 {
		return int(frame[at+22])<<8 | int(frame[at+23])
	}
	return int(frame[at+14])<<8 | int(frame[at+15])
}

// blind clears what of a frame does not come back under a fixed ID: the ID
// and IPv4's header checksum.
func blind(frame []byte) []byte {
	f := slices.Clone(frame)
	at := 14
	for f[at-2] == 0x81 || f[at-2] == 0x88 {
		at += 4
	}
	f[at+4], f[at+5], f[at+10], f[at+11] = 0, 0, 0, 0
	return f
}

// resegment is what the host's segmentation makes of a batch's packets.
// Ethernet's padding of a joined frame is gone.
func resegment(t rapid.TB, sp *Splitter, packets [][][]byte) (out [][]byte, supers int) {
	for _, p := range packets {
		h, f := packetOf(p)
		if h.Type != None {
			supers++
		}
		frames := split(t, sp, h, f, 0)
		if h.Type != None {
			for _, f := range frames {
				checkFrame(t, f)
			}
		}
		out = append(out, frames...)
	}
	return out, supers
}

// TestOrderAndContent mixes flows, good and bad, into batches: each comes out
// with all its frames, in their order, octet for octet.
func TestOrderAndContent(t *testing.T) {
	var sp Splitter
	rapid.Check(t, func(t *rapid.T) {
		c := NewCoalescer(CoalescerOptions{UDP: rapid.Bool().Draw(t, "uso"), Frames: rapid.IntRange(1, 64).Draw(t, "room")})
		friendly := rapid.IntRange(0, 3).Draw(t, "friendly") == 0
		streams := make([]stream, rapid.IntRange(1, 8).Draw(t, "flows"))
		left := map[int][][]byte{}
		for i := range streams {
			streams[i] = anyStream(t, i, friendly)
			left[i] = streams[i].frames
		}
		var batch [][]byte
		for len(left) > 0 {
			i := rapid.IntRange(0, len(streams)-1).Draw(t, "flow")
			n := min(rapid.IntRange(1, 9).Draw(t, "run"), len(left[i]))
			batch = append(batch, left[i][:n]...)
			if left[i] = left[i][n:]; len(left[i]) == 0 {
				delete(left, i)
			}
		}
		var got [][]byte
		for len(batch) > 0 {
			n := rapid.IntRange(1, len(batch)).Draw(t, "batch")
			out, _ := resegment(t, &sp, coalesce(c, batch[:n]...))
			got = append(got, out...)
			batch = batch[n:]
		}
		of := make([][][]byte, len(streams))
		for _, f := range got {
			of[hostOf(f)] = append(of[hostOf(f)], f)
		}
		for i, st := range streams {
			want := slices.Clone(st.frames)
			for j := range want {
				// Padding is not the flow's, whether it stayed or not.
				want[j], of[i] = unpad(want[j]), slices.Clone(of[i])
				if j < len(of[i]) {
					of[i][j] = unpad(of[i][j])
				}
				if st.fixed && j < len(of[i]) {
					want[j], of[i][j] = blind(want[j]), blind(of[i][j])
				}
			}
			equalFrames(t, fmt.Sprint("flow ", i), of[i], want)
		}
	})
}

// unpad takes off the octet 0xee that anyStream pads with.
func unpad(f []byte) []byte {
	var l layout
	if l.parse(f) == nil {
		return f[:l.end]
	}
	return f
}

// TestFriendlyFlowsJoin: in a batch of a few flows that join, each flow's
// frames become as few packets as there is room for.
func TestFriendlyFlowsJoin(t *testing.T) {
	var sp Splitter
	c := NewCoalescer(CoalescerOptions{UDP: true})
	for _, udp := range []bool{false, true} {
		var frames [][]byte
		var cuts [4][][]byte
		for i := range cuts {
			s, _ := pair(udp, i%2 == 0, nil)
			s.host, s.payload = uint16(i), octets(40*1448, i)
			cuts[i] = s.cut(1448)
		}
		for j := range 40 {
			for i := range cuts {
				frames = append(frames, cuts[i][j])
			}
		}
		got := coalesce(c, frames...)
		if len(got) != len(cuts) {
			t.Fatalf("udp %v: %d packets of %d flows", udp, len(got), len(cuts))
		}
		out, supers := resegment(t, &sp, got)
		equalFrames(t, "resegmented", out, slices.Concat(cuts[:]...))
		if supers != len(cuts) {
			t.Fatalf("udp %v: %d super-packets", udp, supers)
		}
	}
}

// TestManyFlows: more flows than the table has room for lose no order.
func TestManyFlows(t *testing.T) {
	var sp Splitter
	c := NewCoalescer(CoalescerOptions{Frames: 16})
	var frames [][]byte
	cuts := make([][][]byte, 500)
	for i := range cuts {
		s, _ := pair(false, false, nil)
		s.host, s.payload = uint16(i), octets(300, i)
		cuts[i] = s.cut(100)
	}
	for _, i := range []int{0, 1, 2} {
		for _, cut := range cuts {
			frames = append(frames, cut[i])
		}
	}
	out, _ := resegment(t, &sp, coalesce(c, frames...))
	slices.SortStableFunc(out, func(a, b []byte) int { return hostOf(a) - hostOf(b) })
	equalFrames(t, "resegmented", out, slices.Concat(cuts...))
}
