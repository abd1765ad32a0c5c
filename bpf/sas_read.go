package bpf

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Account is what was counted of an SA: MACsec frames with its SCI and AN while
// it had its key, by the program of its direction or, of what a SecY in user
// space sent, by that. Nobody has looked at their ICV.
type Account struct {
	SA
	Since, Until    time.Time // Until is zero while the SA is there
	Packets, Octets uint64    // octets of whole frames, without FCS
	Seen            time.Time // the last one; zero: there was none
	// PNs of the SecTAG, with XPN their lower half: the first, and the highest
	// by serial number arithmetic. 0: there was none.
	PNLow, PNHigh uint32
	// In the same direction, from Since to Until: what passed in clear, what
	// passed because Filter.Allow says so, and what was dropped.
	Clear, Allowed, Dropped Counter

	counter int
}

// reader reads counters at one moment.
type reader struct {
	*SAs
	ingress, egress [3]portCounter
	now             time.Time
	jiffies         uint64 // then
	tick            time.Duration
}

func (s *SAs) reader() (r reader, err error) {
	r.SAs = s
	for d, to := range map[Direction]*[3]portCounter{Ingress: &r.ingress, Egress: &r.egress} {
		if to[0], to[1], to[2], err = s.beside(d); err != nil {
			return r, err
		}
	}
	r.jiffies, r.now, r.tick, err = s.clock()
	return r, err
}

// clock reads jiffies64 with the time of day, and how long a jiffy is: the
// resolution of a clock that goes on once a tick (kernel/time/
// posix-timers.c, posix_get_coarse_res).
func (s *SAs) clock() (jiffies uint64, now time.Time, tick time.Duration, err error) {
	o := portSaOrder{An: noAN}
	if err := s.order(&o); err != nil {
		return 0, now, 0, err
	}
	now = time.Now()
	var res unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &res); err != nil {
		return 0, now, 0, fmt.Errorf("resolution of the coarse clock: %w", err)
	}
	return o.Jiffies, now, time.Duration(res.Nano()), nil
}

func (r *reader) read(i int) (a Account, err error) {
	var perCPU []portSaCounter
	if err := r.filter.maps[portMapSas].Lookup(uint32(i), &perCPU); err != nil {
		return a, err
	}
	n := &r.slots[i]
	a = Account{SA: n.sa(), Since: time.Unix(0, int64(n.Since)), counter: i}
	c := sum(perCPU)
	if c.Seen != 0 {
		c.Seen = uint64(r.now.Add(-time.Duration(r.jiffies-c.Seen) * r.tick).UnixNano())
	}
	c = sum([]portSaCounter{c, r.sent.read(i)})
	a.Packets, a.Octets, a.PNLow, a.PNHigh = c.Packets, c.Octets, c.PnLow, c.PnHigh
	if c.Seen != 0 {
		a.Seen = time.Unix(0, int64(c.Seen))
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

// sum is of counters of one SA. Seen is the latest; PNs are compared with those
// of the counter that was, since one that has long seen nothing may be more than
// half their range behind.
func sum(all []portSaCounter) (c portSaCounter) {
	var latest portSaCounter
	for _, one := range all {
		c.Packets += one.Packets
		c.Octets += one.Octets
		if one.Packets > 0 && one.Seen >= latest.Seen {
			latest = one
		}
	}
	c.Seen, c.PnLow, c.PnHigh = latest.Seen, latest.PnLow, latest.PnHigh
	for _, one := range all {
		if one.Packets == 0 {
			continue
		}
		if int32(one.PnLow-c.PnLow) < 0 {
			c.PnLow = one.PnLow
		}
		if int32(one.PnHigh-c.PnHigh) > 0 {
			c.PnHigh = one.PnHigh
		}
	}
	return c
}

// Nobody is what was counted of frames whose SA has no counter of its own.
func (s *SAs) Nobody() (Counter, error) {
	var perCPU []portSaCounter
	if err := s.filter.maps[portMapSas].Lookup(uint32(0), &perCPU); err != nil {
		return Counter{}, fmt.Errorf("bpf: read the counter of no SA: %w", err)
	}
	c := sum(append(perCPU, s.sent.read(0)))
	return Counter{c.Packets, c.Octets}, nil
}
