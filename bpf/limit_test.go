package bpf

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// limitOf is the Limit of programs that are not attached.
func limitOf(p pair) *Limit {
	return &Limit{p.held(portMapEapolCkns), p.held(portMapEapolPeers), p.held(portMapEapolBudgets)}
}

// hello is an MKPDU as far as its CKN, with an ICV of zeros.
func hello(from [6]byte, mi byte, ckn []byte) []byte {
	f := append(append([]byte{}, paeGroup[:]...), from[:]...)
	f = append(f, 0x88, 0x8e, 3, 5, 0, 0, 3, 16)
	f = binary.BigEndian.AppendUint16(f, 0xf000|uint16(28+len(ckn)))
	f = append(append(f, from[:]...), 0, 1)
	f = append(f, bytes.Repeat([]byte{mi}, 12)...)
	f = append(f, 0, 0, 0, 9, 0, 0x80, 0xc2, 1)
	f = append(f, ckn...)
	return append(f, make([]byte, (4-len(ckn)%4)%4+16)...)
}

var (
	heard, other = [6]byte{2, 0, 0, 0, 0, 2}, [6]byte{2, 0, 0, 0, 0, 3}
	long         = bytes.Repeat([]byte{7}, 32)
)

func TestEAPOLLimit(t *testing.T) {
	const burst = 20
	members := []Member{
		{CKN: []byte{7}, Peers: []Peer{{heard, [12]byte(bytes.Repeat([]byte{1}, 12))}}},
		{CKN: long, Peers: []Peer{{heard, [12]byte(bytes.Repeat([]byte{2}, 12))}}},
	}
	cut := hello(heard, 1, []byte{7})[:50] // ends before the CKN
	for _, tt := range []struct {
		name   string
		frame  []byte
		passes int // of 500 in a moment
		byTC   bool
	}{
		{"a known peer", hello(heard, 1, []byte{7}), 500, false},
		{"a known peer, CKN of 32 octets", hello(heard, 2, long), 500, false},
		{"a known peer, CKN of 32 octets, by tc", hello(heard, 2, long), 500, true},
		{"a peer of another CKN", hello(heard, 2, []byte{7}), burst, false},
		{"a peer that restarted", hello(heard, 9, []byte{7}), burst, false},
		{"a peer that restarted, by tc", hello(heard, 9, []byte{7}), burst, true},
		{"a new address with the MI of a peer", hello(other, 1, []byte{7}), burst, false},
		{"a CKN that is longer", hello(heard, 1, []byte{7, 0}), burst, false},
		{"a CKN of nobody's", hello(heard, 1, []byte{8}), burst, false},
		{"a CKN of nobody's, by tc", hello(heard, 1, []byte{8}), burst, true},
		{"a CKN that is too long", hello(heard, 1, bytes.Repeat([]byte{7}, 33)), burst, false},
		{"no CKN", hello(heard, 1, nil), burst, false},
		{"cut", cut, burst, false},
		{"no MKPDU", octets(t, pae+peerMAC+"888e"+"0301", 60), burst, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := loaded(t, plain)
			in, pass := p.in, uint32(xdpPass)
			if tt.byTC {
				in, pass = inTC(t, p), tcNext
			}
			run := func() (passed int) {
				for range 500 {
					got, err := in.Run(&ebpf.RunOptions{Data: tt.frame})
					if err != nil {
						t.Fatal(err)
					}
					if got == pass {
						passed++
					}
				}
				return passed
			}
			if n := run(); n != 500 {
				t.Errorf("%d of 500 pass before anybody is named", n)
			}
			if err := limitOf(p).Set(members); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			n := run()
			spare := int(time.Since(begun)/(50*time.Millisecond)) + 1 // refilled meanwhile
			if n < tt.passes || n > tt.passes+spare {
				t.Errorf("%d of 500 pass, want %d to %d", n, tt.passes, tt.passes+spare)
			}
			v, err := verdicts(p.held(portMapIngress))
			if err != nil || v.EAPOLLimited.Packets != uint64(500-n) || v.EAPOL.Packets != uint64(500+n) {
				t.Errorf("counters %+v, %v after %d passed", v, err, 500+n)
			}
		})
	}
}

// A port that should be secure has MKA too, and the limit.
func TestLimitWhereClearPasses(t *testing.T) {
	p := loaded(t, counting)
	if err := limitOf(p).Set([]Member{{CKN: []byte{7}}}); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if _, err := p.in.Run(&ebpf.RunOptions{Data: hello(other, 3, []byte{9})}); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := verdicts(p.held(portMapIngress)); err != nil || v.EAPOLLimited.Packets < 400 || v.EAPOL.Packets < 20 || v.Clear.Packets != 0 {
		t.Errorf("of 500 EAPOL frames of strangers: %+v, %v", v, err)
	}
}

// Each budget is its own: strangers do not take a new peer's, new peers do
// not take that of one that restarts, nor one MI another's.
func TestBudgetsAreApart(t *testing.T) {
	p := loaded(t, plain)
	if err := limitOf(p).Set([]Member{{CKN: []byte{7}, Peers: []Peer{{heard, [12]byte{1}}}}, {CKN: []byte{8}}}); err != nil {
		t.Fatal(err)
	}
	for _, f := range [][]byte{hello(other, 3, []byte{9}), hello(other, 3, []byte{7}), hello(other, 4, []byte{8}), hello(heard, 3, []byte{7}), hello(heard, 4, []byte{8})} {
		if got, err := p.in.Run(&ebpf.RunOptions{Data: f}); err != nil || got != xdpPass {
			t.Fatalf("the first is dropped: %d, %v", got, err)
		}
		for range 200 {
			if _, err := p.in.Run(&ebpf.RunOptions{Data: f}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A Set replaces what is there, keeps the numbers of CKNs that stay, and too
// many lift the limit.
func TestSetReplaces(t *testing.T) {
	p := loaded(t, plain)
	l := limitOf(p)
	peer := func(n byte) Peer { return Peer{[6]byte{2, 0, 0, 0, 0, n}, [12]byte{n}} }
	set := func(m ...Member) {
		t.Helper()
		if err := l.Set(m); err != nil {
			t.Fatal(err)
		}
	}
	numbers := func() map[portCkn]uint32 {
		n, err := entries[portCkn, uint32](l.ckns)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	set(Member{CKN: []byte{1}, Peers: []Peer{peer(1)}}, Member{CKN: []byte{2}, Peers: []Peer{peer(2)}})
	before := numbers()
	set(Member{CKN: []byte{2}, Peers: []Peer{peer(2), peer(3)}}, Member{CKN: []byte{3}})
	after := numbers()
	if len(after) != 2 || after[ckn([]byte{2})] != before[ckn([]byte{2})] || after[ckn([]byte{3})] == after[ckn([]byte{2})] {
		t.Errorf("numbers %v, then %v", before, after)
	}
	all, err := entries[portEapolPeer, uint8](l.peers)
	if err != nil || len(all) != 4 {
		t.Errorf("%d entries of peers for 2, %v", len(all), err)
	}
	set(Member{CKN: []byte{2}}, Member{CKN: []byte{3}, Peers: []Peer{peer(4)}})
	if all, err = entries[portEapolPeer, uint8](l.peers); err != nil || len(all) != 6 {
		t.Errorf("%d entries of peers for 2 that went, and 1, %v", len(all), err)
	}
	set(Member{CKN: []byte{2}, Peers: []Peer{peer(2)}}, Member{CKN: []byte{3}, Peers: []Peer{peer(4)}})
	if all, err = entries[portEapolPeer, uint8](l.peers); err != nil || len(all) != 4 {
		t.Errorf("%d entries of peers when one has come back, %v", len(all), err)
	}
	set(Member{CKN: []byte{3}, Peers: []Peer{peer(4)}})
	set(Member{CKN: []byte{3}, Peers: []Peer{peer(4)}}, Member{CKN: []byte{5}})
	if all, err = entries[portEapolPeer, uint8](l.peers); err != nil || len(all) != 2 {
		t.Errorf("%d entries of peers: a new CKN has an old one's, %v", len(all), err)
	}
	var many []Member
	for i := range byte(maxCKNs) {
		many = append(many, Member{CKN: []byte{i, 1}})
	}
	if err := l.Set(many); err == nil {
		t.Error("more CKNs than there is room for are taken")
	}
	stranger := hello(other, 3, []byte{9})
	for range 100 {
		if got, err := p.in.Run(&ebpf.RunOptions{Data: stranger}); err != nil || got != xdpPass {
			t.Fatalf("without a table EAPOL is limited: %d, %v", got, err)
		}
	}
	set()
	if len(numbers()) != 0 {
		t.Errorf("CKNs stay: %v", numbers())
	}
}
