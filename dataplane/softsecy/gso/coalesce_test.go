package gso

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// packetOf is one of Packets' in one piece: header and frame.
func packetOf(pieces [][]byte) (h Header, frame []byte) {
	h.Decode(pieces[0])
	return h, slices.Concat(pieces[1:]...)
}

// coalesce is what a batch becomes; the frames are copied first.
func coalesce(c *Coalescer, frames ...[]byte) [][][]byte {
	c.Reset()
	for _, f := range frames {
		c.Add(slices.Clone(f))
	}
	return c.Packets()
}

// pair is two segments of a flow that join, the second changed by then.
func pair(udp, v6 bool, then func(first, second *segment)) (a, b segment) {
	a = segment{
		udp: udp, v6: v6, host: 1, port: 5000, tos: 2, ttl: 64, df: true, id: 65535, label: 7,
		seq: 1<<32 - 100, ack: 9, flags: 0x10, window: 500, payload: octets(1000, 1),
	}
	if !udp {
		a.options = timestamps
	}
	b = a
	b.id++
	b.seq += 1000
	b.payload = octets(1000, 2)
	if then != nil {
		then(&a, &b)
	}
	return a, b
}

func TestJoin(t *testing.T) {
	type change = func(a, b *segment)
	both := []bool{false, true}
	for _, c := range []struct {
		name   string
		udp    []bool
		v6     []bool
		change change
		joined bool
	}{
		{"next", both, both, nil, true},
		{"tags", both, both, func(a, b *segment) { a.tags, b.tags = cTag, cTag }, true},
		{"shorter", both, both, func(_, b *segment) { b.payload = b.payload[:1] }, true},
		{"longer", both, both, func(_, b *segment) { b.payload = octets(1001, 2) }, false},
		{"empty", both, both, func(_, b *segment) { b.payload = nil }, false},
		{"other tag", both, both, func(a, b *segment) { a.tags, b.tags = cTag, sTag }, false},
		{"one tagged", both, both, func(_, b *segment) { b.tags = cTag }, false},
		{"other host", both, both, func(_, b *segment) { b.host++ }, false},
		{"other port", both, both, func(_, b *segment) { b.port++ }, false},
		{"TOS", both, both, func(_, b *segment) { b.tos++ }, false},
		{"TTL", both, both, func(_, b *segment) { b.ttl-- }, false},
		{"flow label", both, []bool{true}, func(_, b *segment) { b.label++ }, false},
		{"ID same with DF", both, []bool{false}, func(_, b *segment) { b.id-- }, true},
		{"ID same", both, []bool{false}, func(a, b *segment) { b.id--; a.df, b.df = false, false }, false},
		{"ID next without DF", both, []bool{false}, func(a, b *segment) { a.df, b.df = false, false }, true},
		{"ID jumps", both, []bool{false}, func(_, b *segment) { b.id++ }, false},
		{"DF differs", both, []bool{false}, func(_, b *segment) { b.df = false }, false},
		{"IP options", both, []bool{false}, func(a, b *segment) { a.ipOptions = []byte{1, 1, 1, 0}; b.ipOptions = a.ipOptions }, false},
		{"extension", both, []bool{true}, func(a, b *segment) { a.extension = []byte{0, 0, 1, 4, 0, 0, 0, 0}; b.extension = a.extension }, false},
		{"gap", []bool{false}, both, func(_, b *segment) { b.seq++ }, false},
		{"again", []bool{false}, both, func(a, b *segment) { b.seq = a.seq }, false},
		{"ack", []bool{false}, both, func(_, b *segment) { b.ack++ }, false},
		{"window", []bool{false}, both, func(_, b *segment) { b.window++ }, false},
		{"options", []bool{false}, both, func(_, b *segment) { b.options = slices.Clone(timestamps); b.options[11]++ }, false},
		{"no options", []bool{false}, both, func(_, b *segment) { b.options = nil }, false},
		{"PSH", []bool{false}, both, func(_, b *segment) { b.flags |= tcpPSH }, true},
		{"FIN", []bool{false}, both, func(_, b *segment) { b.flags |= tcpFIN }, true},
		{"after PSH", []bool{false}, both, func(a, _ *segment) { a.flags |= tcpPSH }, false},
		{"after FIN", []bool{false}, both, func(a, _ *segment) { a.flags |= tcpFIN }, false},
		{"after CWR", []bool{false}, both, func(a, _ *segment) { a.flags |= tcpCWR }, true},
		{"CWR", []bool{false}, both, func(_, b *segment) { b.flags |= tcpCWR }, false},
		{"CWR twice", []bool{false}, both, func(a, b *segment) { a.flags |= tcpCWR; b.flags |= tcpCWR }, false},
		{"ECE", []bool{false}, both, func(_, b *segment) { b.flags |= 0x40 }, false},
		{"ECE twice", []bool{false}, both, func(a, b *segment) { a.flags |= 0x40; b.flags |= 0x40 }, true},
		{"SYN", []bool{false}, both, func(a, b *segment) { a.flags |= tcpSYN; b.flags |= tcpSYN }, false},
		{"RST", []bool{false}, both, func(a, b *segment) { a.flags |= tcpRST; b.flags |= tcpRST }, false},
		{"URG", []bool{false}, both, func(a, b *segment) { a.flags |= tcpURG; b.flags |= tcpURG }, false},
		{"no ACK", []bool{false}, both, func(a, b *segment) { a.flags, b.flags = 0, 0 }, false},
	} {
		for _, udp := range c.udp {
			for _, v6 := range c.v6 {
				a, b := pair(udp, v6, c.change)
				co := NewCoalescer(CoalescerOptions{UDP: true})
				got := coalesce(co, a.frame(), b.frame())
				if joined := len(got) == 1; joined != c.joined {
					t.Errorf("%s, udp %v, v6 %v: joined is %v", c.name, udp, v6, joined)
				}
				if c.joined {
					checkSuper(t, c.name, got[0], a, b)
					continue
				}
				for i, want := range [][]byte{a.frame(), b.frame()} {
					h, f := packetOf(got[i])
					if (h != Header{Flags: DataValid}) || !bytes.Equal(f, want) {
						t.Errorf("%s, udp %v, v6 %v: frame %d is not what came, or has %+v", c.name, udp, v6, i, h)
					}
				}
			}
		}
	}
}

// checkSuper checks a packet against what the host would have sent as one.
func checkSuper(t *testing.T, name string, got [][]byte, a segment, rest ...segment) {
	t.Helper()
	size := len(a.payload)
	for _, b := range rest {
		a.payload = slices.Concat(a.payload, b.payload)
		a.flags |= b.flags
	}
	h, f := packetOf(got)
	wantH, want := a.super(size)
	if h != wantH || !bytes.Equal(f, want) {
		t.Errorf("%s:\n got %+v %x\nwant %+v %x", name, h, f[:min(len(f), 90)], wantH, want[:90])
	}
}

// TestBrokenIsAlone breaks one octet of the second frame: it comes out as it
// came, without DATA_VALID, and ends the packet before it.
func TestBrokenIsAlone(t *testing.T) {
	for _, udp := range []bool{false, true} {
		for _, v6 := range []bool{false, true} {
			a, b := pair(udp, v6, nil)
			c := b
			c.seq += 1000
			c.id++
			good := b.frame()
			l4 := b.headerLen() - 8
			if !udp {
				l4 = b.headerLen() - 20 - len(timestamps)
			}
			at := []int{l4 + 5, l4 + 7, b.headerLen(), len(good) - 1}
			if !v6 {
				at = append(at, 14+10, 14+11)
			}
			for _, i := range at {
				bad := slices.Clone(good)
				bad[i] ^= 0x10
				co := NewCoalescer(CoalescerOptions{UDP: true})
				got := coalesce(co, a.frame(), bad, c.frame())
				if len(got) != 3 {
					t.Fatalf("udp %v, v6 %v, octet %d broken: %d packets", udp, v6, i, len(got))
				}
				if h, f := packetOf(got[1]); (h != Header{}) || !bytes.Equal(f, bad) {
					t.Errorf("udp %v, v6 %v, octet %d broken: %+v, frame as it came is %v", udp, v6, i, h, bytes.Equal(f, bad))
				}
			}
		}
	}
}

// TestFixedID: the second frame decides how the ID goes on.
func TestFixedID(t *testing.T) {
	for _, c := range []struct {
		ids     []uint16
		packets int
	}{
		{[]uint16{5, 5, 5, 5}, 1},
		{[]uint16{5, 6, 7, 8}, 1},
		{[]uint16{5, 5, 6}, 2},
		{[]uint16{5, 5, 7}, 2},
		{[]uint16{5, 6, 5}, 2},
		{[]uint16{5, 6, 6}, 2},
		{[]uint16{65534, 65535, 0, 1}, 1},
	} {
		var frames [][]byte
		s, _ := pair(false, false, nil)
		for _, id := range c.ids {
			s.id = id
			frames = append(frames, s.frame())
			s.seq += 1000
		}
		if got := coalesce(NewCoalescer(CoalescerOptions{}), frames...); len(got) != c.packets {
			t.Errorf("IDs %d: %d packets, want %d", c.ids, len(got), c.packets)
		}
	}
}

func TestUDPAlone(t *testing.T) {
	a, b := pair(true, false, nil)
	if got := coalesce(NewCoalescer(CoalescerOptions{}), a.frame(), b.frame()); len(got) != 2 {
		t.Error("joined, and the tap does not take it")
	}
	// Two that add up right, yet: without a checksum, whose sum happens to be
	// that of one; and with a length that is not IP's.
	a.payload = append(a.payload, 0, 0)
	c := binary.BigEndian.Uint16(a.frame()[14+20+udpCsum:])
	binary.BigEndian.PutUint16(a.payload[1000:], c)
	zero := a.frame()
	copy(zero[14+20+udpCsum:], []byte{0, 0})
	short := b.frame()
	short[14+20+5] ^= 1
	sum := naive(append(slices.Clone(short[14+12:14+20]), 0, protoUDP, byte(1008>>8), byte(1008&0xff)))
	copy(short[14+20+udpCsum:], []byte{0, 0})
	c = ^fold(uint64(sum) + uint64(naive(short[14+20:])))
	binary.BigEndian.PutUint16(short[14+20+udpCsum:], c)
	for name, f := range map[string][]byte{"no checksum": zero, "length": short} {
		var l layout
		if err := l.parse(f); err != nil || !verify(f, &l) {
			t.Fatalf("%s: the test's own datagram does not add up (%v)", name, err)
		}
		got := coalesce(NewCoalescer(CoalescerOptions{UDP: true}), f, f)
		if len(got) != 2 {
			t.Fatalf("%s: joined", name)
		}
		if h, out := packetOf(got[0]); (h != Header{}) || !bytes.Equal(out, f) {
			t.Errorf("%s: %+v, as it came is %v", name, h, bytes.Equal(out, f))
		}
	}
}

// TestLimits: what a packet may hold, and that the frame beyond begins the
// next.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name      string
		udp, v6   bool
		size, sum int // of payload; how many frames
		want      []int
	}{
		{"TCP, 64 KiB", false, false, 1448, 50, []int{45, 5}},
		{"TCP, IPv6", false, true, 1428, 50, []int{45, 5}},
		{"TCP, pieces", false, false, 10, 300, []int{256, 44}},
		{"TCP, exactly", false, false, (65535 - 52) / 11, 12, []int{11, 1}},
		{"TCP, one octet over", false, false, (65536 - 52) / 12, 12, []int{11, 1}},
		{"UDP, 64", true, false, 100, 130, []int{64, 64, 2}},
		{"UDP, 64 KiB", true, true, 1432, 50, []int{45, 5}},
	} {
		s, _ := pair(c.udp, c.v6, nil)
		s.id = 3
		s.payload = octets(c.size*c.sum, 4)
		got := coalesce(NewCoalescer(CoalescerOptions{UDP: true, Frames: 4}), s.cut(c.size)...)
		var counts []int
		for _, p := range got {
			counts = append(counts, len(p)-1)
			if _, f := packetOf(p); len(f)-14 > 65535 {
				t.Errorf("%s: a packet of %d octets", c.name, len(f))
			}
		}
		if !slices.Equal(counts, c.want) {
			t.Errorf("%s: packets of %d frames, want %d", c.name, counts, c.want)
		}
	}
}

// TestPadding: what Ethernet added to a short frame does not get into a
// super-packet, and stays where the frame is alone.
func TestPadding(t *testing.T) {
	a, b := pair(false, false, func(a, b *segment) {
		a.payload, b.payload = octets(10, 1), octets(3, 2)
		b.seq = a.seq + 10
	})
	pad := func(s segment) []byte { return append(s.frame(), octets(9, 9)...) }
	got := coalesce(NewCoalescer(CoalescerOptions{}), pad(a), pad(b))
	if len(got) != 1 {
		t.Fatalf("%d packets", len(got))
	}
	checkSuper(t, "padded", got[0], a, b)
	got = coalesce(NewCoalescer(CoalescerOptions{}), pad(a))
	if _, f := packetOf(got[0]); !bytes.Equal(f, pad(a)) {
		t.Error("a frame alone lost its padding")
	}
}

// TestUnknownFlowEndsAll: a fragment may be of any flow, and no later frame
// may overtake it. What is surely of no flow ends nothing.
func TestUnknownFlowEndsAll(t *testing.T) {
	a, b := pair(false, false, nil)
	fragment := a.frame()
	fragment[20] |= 0x20
	later := a.frame()
	later[21] |= 5
	malformed := a.frame()
	malformed[16]++
	icmp := a.frame()
	icmp[14+9] = 1
	arp := a.frame()
	arp[13] = 6
	for name, c := range map[string]struct {
		frame   []byte
		packets int
	}{
		"fragment": {fragment, 3}, "later fragment": {later, 3}, "malformed": {malformed, 3}, "icmp": {icmp, 2}, "arp": {arp, 2},
	} {
		if got := coalesce(NewCoalescer(CoalescerOptions{}), a.frame(), c.frame, b.frame()); len(got) != c.packets {
			t.Errorf("%s between: %d packets, want %d", name, len(got), c.packets)
		}
	}
}

// TestBatches: nothing of a batch is joined to the one before, and Packets
// tells the same twice.
func TestBatches(t *testing.T) {
	a, b := pair(false, true, nil)
	c := NewCoalescer(CoalescerOptions{Frames: 1})
	c.Add(a.frame())
	if n := len(c.Packets()); n != 1 {
		t.Fatalf("%d packets", n)
	}
	c.Add(b.frame())
	if n := len(c.Packets()); n != 2 {
		t.Fatalf("%d packets; the frame went into one that was given out", n)
	}
	c.Reset()
	if n := len(c.Packets()); n != 0 {
		t.Fatalf("%d packets after Reset", n)
	}
	c.Add(b.frame())
	if got := c.Packets(); len(got) != 1 || len(got[0]) != 2 {
		t.Fatalf("%d packets", len(got))
	}
	got := coalesce(c, a.frame(), b.frame())
	_, once := packetOf(got[0])
	_, twice := packetOf(c.Packets()[0])
	if len(got) != 1 || !bytes.Equal(once, twice) {
		t.Fatal("Packets does not tell the same twice")
	}
}

// TestTableRounds: a slot of 2^32 batches ago is not taken for one of now.
func TestTableRounds(t *testing.T) {
	tab := newTable(8)
	f := flow{ports: 1}
	s, found := tab.find(&f)
	if found {
		t.Fatal("an empty table has a flow")
	}
	*s = slot{flow: f, round: tab.round, packet: 5}
	if s, found := tab.find(&f); !found || s.packet != 5 {
		t.Fatal("the flow is lost")
	}
	tab.clear()
	if _, found := tab.find(&f); found {
		t.Fatal("the flow outlives its batch")
	}
	tab.round = 1<<32 - 1
	tab.clear()
	if _, found := tab.find(&f); found || tab.round == 0 {
		t.Fatalf("in round %d the flow comes back: %v", tab.round, found)
	}
}

// TestTableWays: flows of one set live side by side until there are too many.
func TestTableWays(t *testing.T) {
	tab := newTable(ways)
	for i := range ways + 1 {
		f := flow{ports: uint32(i)}
		s, found := tab.find(&f)
		if found {
			t.Fatalf("flow %d is found before it was put there", i)
		}
		*s = slot{flow: f, round: tab.round, packet: int32(i)}
		kept := 0
		for j := range i + 1 {
			if s, found := tab.find(&flow{ports: uint32(j)}); found {
				kept++
				if s.packet != int32(j) {
					t.Fatalf("flow %d has the packet of %d", j, s.packet)
				}
			}
		}
		if kept != min(i+1, ways) {
			t.Fatalf("of %d flows %d are kept", i+1, kept)
		}
	}
}
