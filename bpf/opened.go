package bpf

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

// Opened says that frames may have passed a port that nobody counted: Attach found
// the filter in one direction only, behind another program, at fewer queues than
// the port has or in tc behind GRO, or Guard found no guard. A filter that was not there at all has
// other counters.
type Opened struct {
	Found         time.Time // first; zero: it was not
	Filter, Guard bool      // what was missing
}

// The name of counter 0, which is nobody's, has what Opened says: Until is Found,
// An what was missing. So who finds the programs knows.
const (
	noFilter = uint8(1 << iota)
	noGuard
)

// tellOpened writes down that a port was found open.
func tellOpened(names *ebpf.Map, what uint8, now time.Time) error {
	if names == nil {
		return nil // another version's
	}
	var n portSaName
	err := names.Lookup(uint32(0), &n)
	if err == nil {
		if n.Until == 0 {
			n.Until = uint64(now.UnixNano())
		}
		n.An |= what
		err = names.Put(uint32(0), n)
	}
	if err != nil {
		return fmt.Errorf("write down that the port was open: %w", remedy(err))
	}
	return nil
}

// Opened tells what was found since the last Split, also by an earlier process.
func (s *SAs) Opened() (o Opened, err error) {
	var n portSaName
	if err := s.filter.maps[portMapNames].Lookup(uint32(0), &n); err != nil {
		return o, fmt.Errorf("bpf: whether the port was open: %w", err)
	}
	if n.Until != 0 {
		o = Opened{time.Unix(0, int64(n.Until)), n.An&noFilter != 0, n.An&noGuard != 0}
	}
	return o, nil
}

// Split ends what was counted of each SA that is there, and goes on from zero: what
// was before the port was found open is one account, what comes another. Opened is
// as if nothing had been found then.
func (s *SAs) Split(now time.Time) error {
	for _, i := range s.slots.current(func(*portSaName) bool { return true }) {
		a := s.slots[i].sa()
		next, err := s.take(a, now)
		if err == nil {
			err = s.point(a.Direction, a.SCI, a.AN, next)
		}
		if err == nil {
			err = s.close(i, now)
		}
		if err != nil {
			return fmt.Errorf("bpf: split the counter of %s: %w", a, err)
		}
	}
	if err := s.name(0, portSaName{}); err != nil {
		return fmt.Errorf("bpf: %w", err)
	}
	return nil
}
