package bpf

import (
	"fmt"
	"time"
)

// Account is what was counted of an SA: MACsec frames with its SCI and AN while
// it had its key, by the program of its direction or, of what a SecY in user
// space sent, by that. Nobody has looked at their ICV.
type Account struct {
	SA
	Since, Until time.Time // Until is zero while the SA is there
	Numbered               // octets of whole frames, without FCS
	// In the same direction, from Since to Until: what passed in clear, what
	// passed because Filter.Allow says so, and what was dropped.
	Clear, Allowed, Dropped Counter

	counter int
}

// reader reads counters at one moment.
type reader struct {
	*SAs
	ingress, egress [3]portCounter
	now             ticks
}

func (s *SAs) reader() (r reader, err error) {
	r.SAs = s
	for d, to := range map[Direction]*[3]portCounter{Ingress: &r.ingress, Egress: &r.egress} {
		if to[0], to[1], to[2], err = s.beside(d); err != nil {
			return r, err
		}
	}
	r.now, err = readTicks()
	return r, err
}

func (r *reader) read(i int) (a Account, err error) {
	n := &r.slots[i]
	a = Account{SA: n.sa(), Since: time.Unix(0, int64(n.Since)), counter: i}
	if a.Numbered, err = r.numbered(i, r.now); err != nil {
		return a, err
	}
	beside := [3]portCounter{n.Clear, n.Allowed, n.Dropped}
	if n.State == portSaStateSA_CURRENT {
		now := [...]*[3]portCounter{&r.ingress, &r.egress}[a.Direction]
		for j := range beside {
			beside[j] = since(now[j], beside[j])
		}
	} else {
		a.Until = time.Unix(0, int64(n.Until))
	}
	a.Clear, a.Allowed, a.Dropped = beside[0].counter(), beside[1].counter(), beside[2].counter()
	return a, nil
}

func (c portCounter) counter() Counter { return Counter{c.Packets, c.Octets} }

// numbered is what counter i has.
func (s *SAs) numbered(i int, now ticks) (n Numbered, err error) {
	var perCPU []portNumbered
	if err := s.filter.maps[portMapSas].Lookup(uint32(i), &perCPU); err != nil {
		return n, err
	}
	sent, low := s.sent.read(i)
	return now.numbered(perCPU, sent, low), nil
}

// Nobody is what was counted of frames whose SA has no counter of its own.
func (s *SAs) Nobody() (Counter, error) {
	n, err := s.numbered(0, ticks{})
	if err != nil {
		return Counter{}, fmt.Errorf("bpf: read the counter of no SA: %w", err)
	}
	return n.Counter, nil
}
