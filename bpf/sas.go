package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cilium/ebpf"
)

// Direction is which way frames go, as in verdict.h.
type Direction uint8

// Ingress is what the port receives, Egress what it sends.
const (
	Ingress Direction = iota
	Egress
)

func (d Direction) String() string {
	if d == Egress {
		return "egress"
	}
	return "ingress"
}

// SA is a secure association as the filter sees it, with the key that it has.
// ANs are used again, keys are not.
type SA struct {
	Direction Direction
	SCI       [8]byte
	AN        uint8
	Key       [16]byte // key identifier: MI then KN, big-endian
}

func (a SA) String() string {
	return fmt.Sprintf("%s SCI %x AN %d key %x/%d", a.Direction, a.SCI, a.AN, a.Key[:12], binary.BigEndian.Uint32(a.Key[12:]))
}

// ErrNoCounter says that all counters of SAs are in use.
var ErrNoCounter = errors.New("every counter is that of an SA which is there")

var errBothWays = errors.New("its SC is one that goes the other way")

// SAs are the counters of a port's MACsec frames by key. Begin gives a key its
// counter before its SA is installed, End takes the SA's AN from it when the SA
// is gone; who reads, settles. What they count outlives the process, as the
// filter does. One process at a time has them, and one goroutine.
type SAs struct {
	filter *Enforcer
	clerk  *ebpf.Program // linkseal_sa
	sent   *sentMemory
	id     ebpf.MapID
	slots  slots
}

// OpenSAs finds the filter that is attached to the device with that index in
// the calling thread's network namespace, with what an earlier process counted.
// It holds on to that filter's counters, also when the filter has gone.
func OpenSAs(ifindex int) (*SAs, error) {
	e, err := open(ifindex, ofSAs...)
	if err != nil {
		return nil, err
	}
	s := &SAs{filter: e}
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("bpf: counters of SAs: %w", err), s.Close())
	}
	return s, nil
}

// ofSAs are the maps of SAs.
var ofSAs = []string{
	portMapNames, portMapScs, portMapScsChanges, portMapSas, portMapSent, portMapSentSas, portMapSaFirsts,
	portMapIngress, portMapEgress,
}

func (s *SAs) open() (err error) {
	if s.sent, err = mapSent(s.filter.maps); err != nil {
		return err
	}
	names := s.filter.maps[portMapNames]
	if names == nil {
		return errOtherVersion
	}
	info, err := names.Info()
	if err != nil {
		return fmt.Errorf("map %s: %w", portMapNames, err)
	}
	s.id, _ = info.ID()
	spec, err := newSpec()
	if err != nil {
		return err
	}
	var obj struct {
		Clerk *ebpf.Program `ebpf:"linkseal_sa"`
	}
	own := mapsByName{portMapScs: s.filter.maps[portMapScs], portMapScsChanges: s.filter.maps[portMapScsChanges]}
	if err := spec.LoadAndAssign(&obj, &ebpf.CollectionOptions{MapReplacements: own}); err != nil {
		return fmt.Errorf("load: %w", remedy(err))
	}
	s.clerk = obj.Clerk
	s.slots = make(slots, maxSAs)
	// In one call: there are thousands.
	var from ebpf.MapBatchCursor
	n, err := names.BatchLookup(&from, make([]uint32, maxSAs), []portSaName(s.slots), nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) || n != maxSAs {
		return fmt.Errorf("read %d of %d names: %w", n, maxSAs, err)
	}
	return nil
}

// Same tells whether both are the counters of one filter.
func (s *SAs) Same(o *SAs) bool { return s.id == o.id }

// Close lets go of the counters, which go on.
func (s *SAs) Close() error {
	err := s.filter.Close()
	if s.clerk != nil {
		err = errors.Join(err, s.clerk.Close())
	}
	return err
}

// Begin gives a a counter of its own from now on, at zero. It is called before
// the SA is installed, and changes nothing of one that has its counter already.
// What the AN had before ends. ErrNoCounter: the SA's frames are counted as
// nobody's.
func (s *SAs) Begin(a SA, now time.Time) error {
	if err := s.begin(a, now); err != nil {
		return fmt.Errorf("bpf: counter of %s: %w", a, err)
	}
	return nil
}

func (s *SAs) begin(a SA, now time.Time) error {
	sc := s.slots.current(func(n *portSaName) bool { return n.Sci == a.SCI })
	if len(sc) > 0 && s.slots[sc[0]].Direction != uint8(a.Direction) {
		return errBothWays
	}
	var before []int // what the AN had
	mine := 0
	for _, i := range sc {
		switch n := &s.slots[i]; {
		case n.An != a.AN:
		case n.Key == a.Key:
			mine = i
		default:
			before = append(before, i)
		}
	}
	if mine == 0 {
		var err error
		if mine, err = s.take(a, now); err != nil {
			return err
		}
	}
	how := ebpf.UpdateNoExist
	if len(sc) == 0 {
		how = ebpf.UpdateAny // one that is there has been left
	}
	err := s.filter.maps[portMapScs].Update(a.SCI, portSc{Direction: uint32(a.Direction)}, how)
	if err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
		return fmt.Errorf("make its SC: %w", err)
	}
	if err := s.point(a.Direction, a.SCI, a.AN, mine); err != nil {
		return err
	}
	for _, i := range before {
		if err := s.close(i, now); err != nil {
			return err
		}
	}
	return nil
}

// take makes a counter a's.
func (s *SAs) take(a SA, now time.Time) (int, error) {
	i, ok := s.slots.free()
	if !ok {
		return 0, ErrNoCounter
	}
	if err := s.filter.maps[portMapSas].Put(uint32(i), make([]portNumbered, ebpf.MustPossibleCPU())); err != nil {
		return 0, fmt.Errorf("set it to zero: %w", err)
	}
	s.sent.zero(i)
	clear, allowed, dropped, err := s.beside(a.Direction)
	if err != nil {
		return 0, err
	}
	return i, s.name(i, portSaName{Sci: a.SCI, Key: a.Key, Direction: uint8(a.Direction), An: a.AN, State: portSaStateSA_CURRENT,
		Since: uint64(now.UnixNano()), Clear: clear, Allowed: allowed, Dropped: dropped})
}

// End takes the AN of a from its counter, which stays to be read. Of an SA that
// has none it is no error.
func (s *SAs) End(a SA, now time.Time) error {
	for _, i := range s.slots.current(func(n *portSaName) bool { return n.sa() == a }) {
		if err := s.finish(i, now); err != nil {
			return fmt.Errorf("bpf: end the counter of %s: %w", a, err)
		}
	}
	return nil
}

// finish ends an SA, and its SC with its last one.
func (s *SAs) finish(i int, now time.Time) error {
	a := s.slots[i].sa()
	if err := s.point(a.Direction, a.SCI, a.AN, 0); err != nil {
		return err
	}
	if err := s.close(i, now); err != nil {
		return err
	}
	if len(s.slots.current(func(n *portSaName) bool { return n.Sci == a.SCI })) > 0 {
		return nil
	}
	if err := s.filter.maps[portMapScs].Delete(a.SCI); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete its SC: %w", err)
	}
	return s.point(a.Direction, a.SCI, a.AN, 0) // once more: the CPUs have copies
}

// close writes down that a counter, which no AN has any more, is that of an SA
// that ended.
func (s *SAs) close(i int, now time.Time) error {
	n := s.slots[i]
	clear, allowed, dropped, err := s.beside(n.sa().Direction)
	if err != nil {
		return err
	}
	n.Clear, n.Allowed, n.Dropped = since(clear, n.Clear), since(allowed, n.Allowed), since(dropped, n.Dropped)
	n.State, n.Until = portSaStateSA_ENDED, max(uint64(now.UnixNano()), n.Since) // the clock may have been set back
	return s.name(i, n)
}

// Current are the SAs that have a counter.
func (s *SAs) Current() (all []SA) {
	for _, i := range s.slots.current(func(*portSaName) bool { return true }) {
		all = append(all, s.slots[i].sa())
	}
	return all
}

// Settle is told that the account of an SA that ended is kept elsewhere.
func (s *SAs) Settle(a Account) error {
	n := s.slots[a.counter]
	if n.State != portSaStateSA_ENDED || n.sa() != a.SA {
		return nil
	}
	n.State = portSaStateSA_SETTLED
	if err := s.name(a.counter, n); err != nil {
		return fmt.Errorf("bpf: settle the account of %s: %w", a.SA, err)
	}
	return nil
}

// point has the programs, and user space, count an AN's frames in i.
func (s *SAs) point(d Direction, sci [8]byte, an uint8, i int) error {
	if d == Egress {
		s.sent.point(an, i)
	}
	o := portSaOrder{Sci: binary.NativeEndian.Uint64(sci[:]), An: uint32(an), Counter: uint32(i)}
	return s.order(&o)
}

// order has linkseal_sa carry it out.
func (s *SAs) order(o *portSaOrder) error {
	done, err := s.clerk.Run(&ebpf.RunOptions{Context: *o, ContextOut: o})
	if err != nil {
		return fmt.Errorf("run: %w", remedy(err))
	}
	if done == 0 && o.Counter != 0 {
		return errors.New("its SC is not there")
	}
	return nil
}

// name says what a counter is.
func (s *SAs) name(i int, n portSaName) error {
	if err := s.filter.maps[portMapNames].Put(uint32(i), n); err != nil {
		return fmt.Errorf("name it: %w", err)
	}
	s.slots[i] = n
	return nil
}

func (n *portSaName) sa() SA { return SA{Direction(n.Direction), n.Sci, n.An, n.Key} }

// beside is what else there was in a direction: what passed in clear, which is
// nothing on a port that is enforced, what passed because it is allowed, and
// what was dropped.
func (s *SAs) beside(d Direction) (clear, allowed, dropped portCounter, err error) {
	v, err := verdicts(s.filter.maps[[]string{portMapIngress, portMapEgress}[d]])
	as := func(all ...Counter) (c portCounter) {
		for _, one := range all {
			c.Packets += one.Packets
			c.Octets += one.Octets
		}
		return c
	}
	return as(v.Clear), as(v.Allowed), as(v.Tagged, v.Dropped), err
}

func since(now, then portCounter) portCounter {
	return portCounter{Packets: now.Packets - then.Packets, Octets: now.Octets - then.Octets}
}

// Unsettled are the accounts of the SAs that are there and of those that ended
// and were not settled, in the order in which they began.
func (s *SAs) Unsettled() ([]Account, error) {
	var all []Account
	r, err := s.reader()
	if err != nil {
		return nil, fmt.Errorf("bpf: read the counters of SAs: %w", err)
	}
	for i := range s.slots {
		if state := s.slots[i].State; state != portSaStateSA_CURRENT && state != portSaStateSA_ENDED {
			continue
		}
		a, err := r.read(i)
		if err != nil {
			return nil, fmt.Errorf("bpf: read the counter of %s: %w", s.slots[i].sa(), err)
		}
		all = append(all, a)
	}
	slices.SortStableFunc(all, func(a, b Account) int { return a.Since.Compare(b.Since) })
	return all, nil
}
