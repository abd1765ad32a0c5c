package bpf

import (
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"pgregory.net/rapid"
)

// numberedSA is an SA of a program that is loaded, with two CPUs that count it,
// beside what is true of it.
type numberedSA struct {
	program *program
	sas     *SAs
	on      [2]func(func())
	key     uint32

	next, first, high uint64 // PNs of 64 bits; first 0: none was seen
	packets           uint64
}

func (m *numberedSA) sa() SA { return keyed(Ingress, 1, m.key) }

func (m *numberedSA) seen(pn, frames uint64) {
	if m.first == 0 {
		m.first = pn
	}
	m.high = max(m.high, pn+frames-1)
}

// receive runs the program on a CPU.
func (m *numberedSA) receive(t *rapid.T, cpu int, pn uint64) {
	m.seen(pn, 1)
	m.packets++
	m.on[cpu](func() {
		if _, err := m.program.Run(&ebpf.RunOptions{Data: framed(peerSCI, 1, uint32(pn), 60)}); err != nil {
			t.Error(err)
		}
	})
}

// edit changes what the CPUs have of the current key.
func (m *numberedSA) edit(t *rapid.T, change func(perCPU []portNumbered)) {
	i := m.sas.slots.current(func(n *portSaName) bool { return n.sa() == m.sa() })[0]
	var perCPU []portNumbered
	sas := m.program.maps[portMapSas]
	if err := sas.Lookup(uint32(i), &perCPU); err != nil {
		t.Fatal(err)
	}
	change(perCPU)
	if err := sas.Put(uint32(i), perCPU); err != nil {
		t.Fatal(err)
	}
}

// silence lets 2000 jiffies pass.
func (m *numberedSA) silence(t *rapid.T) {
	m.edit(t, func(perCPU []portNumbered) {
		for i := range perCPU {
			if perCPU[i].Packets > 0 {
				perCPU[i].Seen -= 2 * longSilence
			}
		}
	})
}

// burst is so many frames in their order on a CPU, of which the first and the
// last are run.
func (m *numberedSA) burst(t *rapid.T, cpu int, frames, lost uint64) {
	m.receive(t, cpu, m.next)
	m.packets += frames - lost
	m.edit(t, func(perCPU []portNumbered) {
		c := &perCPU[cpu%runtime.NumCPU()]
		c.Packets += frames - lost
		c.High += uint32(frames)
	})
	m.next += frames + 2
	m.receive(t, cpu, m.next-1)
}

func (m *numberedSA) check(t *rapid.T) {
	all, err := m.sas.Unsettled()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.SA != m.sa() {
			if err := m.sas.Settle(a); err != nil {
				t.Fatal(err)
			}
			continue
		}
		gaps := uint64(0)
		if span := m.high - m.first + 1; m.packets > 0 && span > m.packets {
			gaps = span - m.packets
		}
		if a.Packets != m.packets || a.Low != uint32(m.first) || a.High != uint32(m.high) || a.Gaps() != gaps {
			t.Fatalf("%d frames, PN %#x to %#x, %d are missing; want %d frames, PN %#x to %#x, %d missing", a.Packets, a.Low, a.High, a.Gaps(), m.packets, m.first, m.high, gaps)
		}
		return
	}
	t.Fatalf("no account of %s", m.sa())
}

// The highest PN and the gaps of each key are those of a model with PNs of 64
// bits: frames are lost, come late and twice and on either CPU, an AN has one key
// after the other, and XPN's lower half goes round, also while a CPU sees none.
func TestNumbers(t *testing.T) {
	p := loaded(t, plain)
	s := &SAs{filter: &Enforcer{p.in.maps}}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	defer s.clerk.Close()
	on := [2]func(func()){onCPU(t, 0), onCPU(t, 1)}
	key := uint32(0)
	rapid.Check(t, func(t *rapid.T) {
		m := &numberedSA{program: p.in, sas: s, on: on}
		begin := func() {
			key++
			pn := rapid.SampledFrom([]uint64{1, 1<<31 - 3, 1<<32 - 3}).Draw(t, "first PN")
			*m = numberedSA{program: p.in, sas: s, on: on, key: key, next: pn}
			if err := s.Begin(m.sa(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		begin()
		var late []uint64
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			cpu := rapid.IntRange(0, 1).Draw(t, "CPU")
			switch what := rapid.SampledFrom([]string{"next", "next", "next", "lost", "held", "late", "twice", "burst", "silence", "key"}).Draw(t, "what"); what {
			case "next":
				m.receive(t, cpu, m.next)
				m.next++
			case "lost":
				m.next += rapid.Uint64Range(1, 1000).Draw(t, "lost")
			case "held":
				late = append(late, m.next)
				m.next++
			case "late":
				if len(late) > 0 && m.first != 0 {
					m.receive(t, cpu, late[0])
					late = late[1:]
				}
			case "twice":
				if m.first != 0 {
					m.receive(t, cpu, m.high)
				}
			case "burst":
				m.burst(t, cpu, rapid.Uint64Range(1000, 1<<26).Draw(t, "frames"), rapid.Uint64Range(0, 1000).Draw(t, "lost"))
			case "silence":
				late = nil
				m.silence(t)
				m.burst(t, cpu, rapid.Uint64Range(1000, 1<<33).Draw(t, "frames"), 0)
				if rapid.Bool().Draw(t, "and on the other") {
					m.receive(t, 1-cpu, m.next)
					m.next++
				}
			case "key":
				late = nil
				begin()
			}
			m.check(t)
		}
	})
}
