package bpf

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"
)

// scTable is what user space says of SCs, as it has to say it.
type scTable struct {
	pair
	changes uint64
}

func (s *scTable) changed(t testing.TB) {
	s.changes++
	if err := s.held(portMapScsChanges).Put(uint32(0), s.changes); err != nil {
		t.Fatal(err)
	}
}

// Whatever is said of SCs, more of which are in use than a CPU has copies of,
// counts for the very next frame; one whose SC is not there is nobody's.
func TestSCsChange(t *testing.T) {
	p := loadedWith(t, plain, func(spec *ebpf.CollectionSpec) { spec.Maps[portMapScs].MaxEntries = known })
	s := &scTable{pair: p}
	model := map[[8]byte]portSc{}
	want := map[uint32]uint64{}
	rnd := rand.New(rand.NewPCG(1, 2))
	scs := p.held(portMapScs)
	seen := [2]int{} // frames of nobody, and of an SC
	for range 8000 {
		sci := sciOf(t, uint16(rnd.IntN(3000)))
		if rnd.IntN(2) == 0 { // few, so that they come again
			sci = sciOf(t, uint16(rnd.IntN(5)))
		}
		sc, there := model[sci]
		switch rnd.IntN(6) {
		case 0: // a new key
			sc.Counter[rnd.IntN(4)] = 1 + rnd.Uint32N(100)
			sc.Direction = rnd.Uint32N(directions)
			model[sci] = sc
			if err := scs.Put(sci, sc); err != nil {
				t.Fatal(err)
			}
			if there {
				s.changed(t)
			}
		case 1:
			if there && rnd.IntN(4) == 0 {
				delete(model, sci)
				if err := scs.Delete(sci); err != nil {
					t.Fatal(err)
				}
				s.changed(t)
			}
		default:
			an := rnd.IntN(4)
			frame := octets(t, peerMAC+otherMAC+"88e5"+"2c0000000001", 60)
			frame[14] |= byte(an)
			copy(frame[20:], sci[:])
			d := rnd.IntN(2)
			if _, err := []*program{p.in, p.out}[d].Run(&ebpf.RunOptions{Data: frame}); err != nil {
				t.Fatal(err)
			}
			i := sc.Counter[an]
			if uint32(d) != sc.Direction {
				i = 0
			}
			want[i]++
			seen[min(1, i)]++
		}
	}
	for i := range uint32(101) {
		var perCPU []portNumbered
		if err := p.held(portMapSas).Lookup(i, &perCPU); err != nil {
			t.Fatal(err)
		}
		n := uint64(0)
		for _, c := range perCPU {
			n += c.Packets
		}
		if n != want[i] {
			t.Errorf("counter %d: %d frames, want %d", i, n, want[i])
		}
	}
	if seen[0] < 100 || seen[1] < 100 {
		t.Errorf("frames of nobody and of an SC: %v; too few to tell", seen)
	}
}

// An SCI of zeros, which is what a place has that nobody took, is nobody's.
func TestSCIOfZeros(t *testing.T) {
	p := loaded(t, plain)
	frame := octets(t, peerMAC+otherMAC+"88e5"+"2c0000000001", 60)
	binary.BigEndian.PutUint64(frame[20:], 0)
	if _, err := p.in.Run(&ebpf.RunOptions{Data: frame}); err != nil {
		t.Fatal(err)
	}
	if n := forgotten(t, p); n != 1 {
		t.Errorf("%d frames are nobody's, want 1", n)
	}
}
