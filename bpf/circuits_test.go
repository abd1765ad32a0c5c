package bpf

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
)

// tagged is a MACsec frame with these VIDs, 0 for none.
func tagged(t testing.TB, s, c uint16) []byte {
	t.Helper()
	frame := octets(t, peerMAC+otherMAC, 12)
	for _, tag := range [][2]uint16{{0x88a8, s}, {0x8100, c}} {
		if tag[1] != 0 {
			frame = binary.BigEndian.AppendUint16(frame, tag[0])
			frame = binary.BigEndian.AppendUint16(frame, 0xe000|tag[1]) // a priority is no part of it
		}
	}
	return append(frame, octets(t, "88e5"+"2c0000000001"+secSCI, 60-len(frame))...)
}

// No frame is lost of so many circuits that some share a place, whatever CPU
// counts it, and one direction's are not the other's.
func TestOuterCircuits(t *testing.T) {
	p := loaded(t, plain)
	e := &Enforcer{p.in.maps}
	rnd := rand.New(rand.NewPCG(1, 2))
	want := map[[3]uint16]Counter{}
	for range 3000 {
		k := [3]uint16{uint16(rnd.IntN(2)), uint16(rnd.IntN(30)), uint16(rnd.IntN(50))}
		if k[1] == 0 && k[2] == 0 {
			continue
		}
		prog := []*program{p.in, p.out}[k[0]]
		frame := tagged(t, k[1], k[2])
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
		k := [3]uint16{0, c.STag, c.CTag}
		if c.Egress {
			k[0] = 1
		}
		if _, twice := got[k]; twice || c.Rest || c.Seen == 0 {
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
	sent := uint64(0)
	for s := uint16(1); s <= 40; s++ {
		for c := uint16(1); c <= 60; c++ {
			if _, err := p.in.Run(&ebpf.RunOptions{Data: tagged(t, s, c)}); err != nil {
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
	if rest := slices.IndexFunc(circuits, func(c OuterCircuit) bool { return c.Rest }); rest < 0 || circuits[rest].Packets == 0 {
		t.Errorf("no rest in %d circuits", len(circuits))
	}
	if sum != sent {
		t.Errorf("counted %d frames of %d", sum, sent)
	}
}
