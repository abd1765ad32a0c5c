package bpf

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
)

// withTags puts tags with these VIDs, 0 for none, into a frame.
func withTags(frame []byte, s, c uint16) []byte {
	f := slices.Clone(frame[:12])
	for _, tag := range [][2]uint16{{0x88a8, s}, {0x8100, c}} {
		if tag[1] != 0 {
			f = binary.BigEndian.AppendUint16(f, tag[0])
			f = binary.BigEndian.AppendUint16(f, 0xe000|tag[1]) // a priority is no part of it
		}
	}
	return append(f, frame[12:]...)
}

// tagged is a MACsec frame with tags.
func tagged(s, c uint16) []byte { return withTags(framed(peerSCI, 0, 1, 60), s, c) }

// keyedSC has the SC of tagged frames have keys, in that direction.
func keyedSC(t testing.TB, p pair, d Direction) {
	t.Helper()
	s := &scTable{pair: p}
	if err := p.held(portMapScs).Put(peerSCI, portSc{Counter: [4]uint32{1, 2, 3, 4}, Direction: uint32(d)}); err != nil {
		t.Fatal(err)
	}
	var changes uint64
	if err := p.held(portMapScsChanges).Lookup(uint32(0), &changes); err != nil {
		t.Fatal(err)
	}
	s.changes = changes
	s.changed(t)
}

// No frame is lost of so many circuits that some share a place, whatever CPU
// counts it, and one direction's are not the other's.
func TestOuterCircuits(t *testing.T) {
	p := loaded(t, plain)
	e := &Enforcer{p.in.maps}
	rnd := rand.New(rand.NewPCG(1, 2))
	want := map[[3]uint16]Counter{}
	for n := range 3000 {
		if n%1500 == 0 {
			keyedSC(t, p, Direction(n/1500))
		}
		k := [3]uint16{uint16(n / 1500), uint16(rnd.IntN(30)), uint16(rnd.IntN(50))}
		if k[1] == 0 && k[2] == 0 {
			continue
		}
		prog := []*program{p.in, p.out}[k[0]]
		frame := tagged(k[1], k[2])
		if _, err := prog.Run(&ebpf.RunOptions{Data: frame}); err != nil {
			t.Fatal(err)
		}
		want[k] = Counter{want[k].Packets + 1, want[k].Octets + uint64(len(frame))}
	}
	got := map[[3]uint16]Counter{}
	circuits, err := e.OuterCircuits()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range circuits {
		k := [3]uint16{uint16(slices.Index(directionNames[:], c.Direction)), c.STag, c.CTag}
		if _, twice := got[k]; twice || c.Rest || time.Since(c.Seen) > time.Minute {
			t.Errorf("%+v", c)
		}
		got[k] = c.Counter
	}
	if !cmp.Equal(got, want) {
		t.Errorf("counted other than ran: %s", cmp.Diff(want, got))
	}
	found, err := entries[portCircuitKey, []portCircuit](e.maps[portMapCircuits])
	if err != nil || len(found) <= directions {
		t.Errorf("no two circuits had the same place: nothing is tested (%v)", err)
	}
}

// Circuits that there is no room for are counted as one.
func TestCircuitsFull(t *testing.T) {
	p := loadedWith(t, plain, func(spec *ebpf.CollectionSpec) { spec.Maps[portMapCircuits].MaxEntries = 10 })
	e := &Enforcer{p.in.maps}
	keyedSC(t, p, Ingress)
	sent := uint64(0)
	for s := uint16(1); s <= 40; s++ {
		for c := uint16(1); c <= 60; c++ {
			if _, err := p.in.Run(&ebpf.RunOptions{Data: tagged(s, c)}); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
	circuits, err := e.OuterCircuits()
	if err != nil {
		t.Fatal(err)
	}
	sum := uint64(0)
	for _, c := range circuits {
		sum += c.Packets
	}
	if rest := slices.IndexFunc(circuits, func(c Circuit) bool { return c.Rest }); rest < 0 || circuits[rest].Packets == 0 {
		t.Errorf("no rest in %d circuits", len(circuits))
	}
	if sum != sent {
		t.Errorf("counted %d frames of %d", sum, sent)
	}
}

// Who sends frames of no key of ours, with whatever tags, takes no circuit's
// place: not with an SCI of nobody's, nor 0, which is that of no SC, nor one that
// goes the other way, nor an AN without a key, nor a SecTAG that is cut.
func TestCircuitsOfNobody(t *testing.T) {
	p := loaded(t, plain)
	e := &Enforcer{p.in.maps}
	egress := portSc{Counter: [4]uint32{1, 1, 1, 1}, Direction: uint32(Egress)}
	if err := p.held(portMapScs).Put(portSCI, egress); err != nil {
		t.Fatal(err)
	}
	if err := p.held(portMapScs).Put(peerSCI, portSc{Counter: [4]uint32{0, 5}}); err != nil {
		t.Fatal(err)
	}
	forge := func(n int, sci [8]byte, an uint8, size int) (f []byte) {
		f = octets(t, peerMAC+otherMAC+"88a80000"+"8100000088e5"+"2c0000000001", 60)
		binary.BigEndian.PutUint16(f[14:], uint16(n%4095+1))
		binary.BigEndian.PutUint16(f[18:], uint16(n/4095+1))
		f[22] |= an
		copy(f[28:], sci[:])
		return f[:size]
	}
	forged := uint64(0)
	for n := range 9000 {
		sci := [][8]byte{{}, portSCI, {9, 9}, peerSCI, peerSCI}[n%5]
		size := 60
		if n%5 == 4 {
			size = 30
		}
		if _, err := p.in.Run(&ebpf.RunOptions{Data: forge(n, sci, 0, size)}); err != nil {
			t.Fatal(err)
		}
		forged++
	}
	for n := range 22 {
		if _, err := p.in.Run(&ebpf.RunOptions{Data: forge(15000+n, peerSCI, 1, 60)}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := e.OuterCircuits()
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range all {
		if c.Rest != (i == len(all)-1) || c.Rest && c.Packets != forged || !c.Rest && c.Packets != 1 {
			t.Errorf("%+v; want 22 circuits of 1 frame, and %d in the rest", c, forged)
		}
	}
	if len(all) != 23 {
		t.Errorf("%d circuits", len(all))
	}
}
