package bpf

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/vishvananda/netlink"
)

// rearm is how long no other frame of a direction and reason raises an event
// after one was read.
const rearm = 100 * time.Millisecond

// alarms and reasonsEach are ALARMS of event.h and what is between directions
// there.
const (
	alarms      = len(portAlarm{}.Armed)
	reasonsEach = alarms / directions
)

// Events reads what the filter of a device tells of frames that it drops: of
// each direction and reason one at a time. It holds through changes of the
// filter's settings. Events are meant for one reader at a time, on one
// goroutine; Stop may come from any.
type Events struct {
	reader *ringbuf.Reader
	id     ebpf.MapID // of the ring
	counts [directions]*ebpf.Map
	alarm  *portAlarm // in the kernel's memory
	due    [alarms]time.Time
	lost   uint64 // when all were armed last
	rec    ringbuf.Record
	xdp    uint32 // the program in whose maps the ring was found last; 0: none
}

// OpenEvents finds the filter that is attached to the device with that index
// in the calling thread's network namespace, and has it tell of the first frame
// of each kind that it drops from now on. Errors are ErrNotAttached, and that
// the filter is another version's.
func OpenEvents(ifindex int) (*Events, error) {
	e, err := open(ifindex, portMapEvents, portMapAlarms, portMapIngress, portMapEgress)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	v, err := e.events()
	if err != nil {
		return nil, fmt.Errorf("bpf: events of device %d: %w", ifindex, err)
	}
	return v, nil
}

func (e *Enforcer) events() (*Events, error) {
	ring := e.maps[portMapEvents]
	if ring == nil {
		return nil, errOtherVersion
	}
	info, err := ring.Info()
	if err != nil {
		return nil, err
	}
	v := &Events{}
	v.id, _ = info.ID()
	// The memory goes with v: a goroutine may still be in Lost.
	if v.alarm, err = mapped[portAlarm](v, e.maps, portMapAlarms); err != nil {
		return nil, err
	}
	for i, name := range []string{portMapIngress, portMapEgress} {
		if v.counts[i], err = e.maps[name].Clone(); err != nil {
			return nil, errors.Join(err, v.Close())
		}
	}
	if v.reader, err = ringbuf.NewReader(ring); err != nil {
		return nil, errors.Join(remedy(err), v.Close())
	}
	v.lost = v.Lost()
	for d := range Direction(directions) {
		for r := range reasons {
			atomic.StoreUint32(&v.alarm.Armed[why(d, r)], 1)
		}
	}
	return v, nil
}

func why(d Direction, r Reason) int { return int(d)*reasonsEach + int(r) }

// Same tells whether both are of one filter.
func (v *Events) Same(o *Events) bool { return v.id == o.id }

// Attached tells whether the filter that is on the device now is the one that
// the events are of. It is asked often: a program that was looked into is told by
// its id, which the kernel does not use again.
func (v *Events) Attached(ifindex int) bool {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return false
	}
	xdp := uint32(0)
	if x := l.Attrs().Xdp; x != nil {
		xdp = x.ProgId
	}
	if xdp != 0 && xdp == v.xdp {
		return true
	}
	h, err := standing(ifindex)
	if err != nil {
		return false
	}
	defer h.Close()
	if h.pair().id(portMapEvents) != v.id {
		return false
	}
	v.xdp = xdp
	return true
}

// Read waits for the next event until the deadline, for which the error is
// os.ErrDeadlineExceeded; after Stop it is os.ErrClosed.
func (v *Events) Read(deadline time.Time) (Drop, error) {
	for {
		now, next := time.Now(), deadline
		v.missed(now)
		for i := range v.due {
			switch due := v.due[i]; {
			case due.IsZero():
			case now.Before(due):
				if due.Before(next) {
					next = due
				}
			default:
				v.due[i] = time.Time{}
				atomic.StoreUint32(&v.alarm.Armed[i], 1)
			}
		}
		v.reader.SetDeadline(next)
		err := v.reader.ReadInto(&v.rec)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if time.Now().Before(deadline) {
				continue
			}
			return Drop{}, err
		}
		if err != nil {
			return Drop{}, err
		}
		d, err := decodeEvent(v.rec.RawSample)
		if err != nil {
			return Drop{}, err
		}
		v.due[why(d.Direction, d.Reason)] = time.Now().Add(rearm)
		return d, nil
	}
}

// missed has every kind armed again when events were lost: nobody can tell which
// they were of. There was no room for them, so that some are to be read, after
// which this is asked again.
func (v *Events) missed(now time.Time) {
	lost := v.Lost()
	if lost == v.lost {
		return
	}
	v.lost = lost
	for i := range v.due {
		if v.due[i].IsZero() {
			v.due[i] = now.Add(rearm)
		}
	}
}

// Lost counts events, since the filter was first attached, that the ring had no
// room for.
func (v *Events) Lost() uint64 {
	n := atomic.LoadUint64(&v.alarm.Lost)
	runtime.KeepAlive(v)
	return n
}

// Dropped counts the frames dropped in that direction and for that reason since
// the filter was first attached: of most there is no event.
func (v *Events) Dropped(d Direction, r Reason) (uint64, error) {
	var perCPU []portCounter
	if err := v.counts[d].Lookup(uint32(r), &perCPU); err != nil {
		return 0, fmt.Errorf("bpf: %s: read counters: %w", d, err)
	}
	var n uint64
	for _, c := range perCPU {
		n += c.Packets
	}
	return n, nil
}

// Stop ends a Read, and all to come.
func (v *Events) Stop() error { return v.reader.Close() }

// Close lets go of the filter, which goes on, and tells nobody. It comes after
// the last call of anything else.
func (v *Events) Close() error {
	var errs []error
	if v.reader != nil {
		errs = append(errs, v.reader.Close())
	}
	for _, m := range v.counts {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}
