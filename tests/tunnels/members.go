package tunnels

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/linkseal/linkseal/tests/lab"
)

const (
	memberCount = 4
	flowCount   = 128 // that one member of four has over 40 % by chance: once in 3,000 times
	// share is the most of the flows that one of the members may have.
	share = 0.40
	// probeEvery is of each member; it is not live after lab.ProbesLost of them.
	probeEvery = 200 * time.Millisecond
	// busy is how long a machine that does other things may take to act.
	busy = 2 * time.Second
)

// spread is which member each flow was last in, by its source port.
type spread struct {
	mu   sync.Mutex
	flow map[uint16]int
}

// listenMembers hears what west sends into each member.
func listenMembers(t *testing.T, p *pair) *spread {
	t.Helper()
	s := &spread{flow: map[uint16]int{}}
	for n := range memberCount {
		tap, err := lab.Listen(p.west, p.member(t, n), func(f lab.Frame) {
			// There is no Ethernet header in a tunnel: IPv4 with UDP.
			if o := f.Octets; f.Outgoing && len(o) >= 28 && o[0] == 0x45 && o[9] == 17 {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.flow[binary.BigEndian.Uint16(o[20:])] = n
			}
		})
		check(t, err)
		t.Cleanup(func() { tap.Close() })
	}
	return s
}

// of is how many of the flows are in each member.
func (s *spread) of(streams []*lab.Traffic) (counts [memberCount]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range streams {
		if n, ok := s.flow[x.Port()]; ok {
			counts[n]++
		}
	}
	return counts
}

// cut has the underlay drop what member n of the tunnel sends and receives.
func (p *pair) cut(t *testing.T, n int) {
	t.Helper()
	if p.Type != lab.IPsec {
		check(t, p.Block(p.tunnels[0].Port()+uint16(n)))
		return
	}
	var others []string
	for _, m := range p.tunnel(t, p.west).Members {
		if m.N != n {
			others = append(append(others, m.SPIIn...), m.SPIOut...)
		}
	}
	check(t, p.BlockESP(others...))
}

// Members spreads flows over four members, in order, and has one die: its flows
// are back within its liveness time, nothing is in clear, and it is put back
// when it lives again.
func (s Suite) Members(t *testing.T) {
	p := s.pair(t, lab.Options{}, lab.Tunnel{Count: memberCount, Probe: probeEvery.String()})
	p.start(t)
	where := listenMembers(t, p)
	var streams []*lab.Traffic
	for range flowCount {
		streams = append(streams, p.traffic(t, 0, 100*time.Millisecond))
	}
	// All at once: each waits for what it has lost.
	t.Cleanup(func() {
		var all sync.WaitGroup
		for _, x := range streams {
			all.Go(func() { x.Stop() })
		}
		all.Wait()
	})
	answered := func() (least uint64) {
		least = ^uint64(0)
		for _, x := range streams {
			least = min(least, x.Count().Answered)
		}
		return least
	}
	p.eventually(t, "answers to all flows", func() bool { return answered() >= 5 })
	// again waits for more answers to each flow.
	again := func() {
		t.Helper()
		var by []uint64
		for _, x := range streams {
			by = append(by, x.Count().Answered+5)
		}
		p.eventually(t, "answers to all flows again", func() bool {
			for i, x := range streams {
				if x.Count().Answered < by[i] {
					return false
				}
			}
			return true
		})
	}
	before := where.of(streams)
	if most := slices.Max(before[:]); float64(most) > share*flowCount {
		t.Errorf("of %d flows the members have %v; at most %.0f %% in one are wanted", flowCount, before, share*100)
	}
	for _, x := range streams {
		if n := x.Disordered(); n > 0 {
			t.Errorf("%d datagrams of a flow came out of order", n)
		}
	}

	victim := slices.Index(before[:], slices.Max(before[:]))
	p.cut(t, victim)
	killed := time.Now()
	p.eventually(t, "the dead member to have no flow", func() bool { return where.of(streams)[victim] == 0 })
	took := time.Since(killed)
	again()
	liveness := probeEvery * (lab.ProbesLost + 1)
	if most := liveness + busy; took > most {
		t.Errorf("the flows of the dead member were in others after %v; %v are its liveness, %v are allowed", took, liveness, most)
	}
	p.none(t, "a member is dead")

	check(t, p.Block(0))
	p.secured(t)
	p.eventually(t, "flows in the member that is back", func() bool { return where.of(streams)[victim] > 0 })
	again() // each has found its member
	after := where.of(streams)
	if most := slices.Max(after[:]); float64(most) > share*flowCount {
		t.Errorf("after all: of %d flows the members have %v", flowCount, after)
	}
	p.none(t, "a member is back")
	s.figure("%d flows over %d members: %v; member %d dead: its flows are in others after %v (liveness %v); back: %v", flowCount, memberCount, before, victim, took.Round(10*time.Millisecond), liveness, after)
}
