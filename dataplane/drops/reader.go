package drops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/bpf"
)

const (
	// reopen is the wait before a filter that is not there is looked for again
	// without a word from Follow.
	reopen = time.Second
	// recheck is how often it is made sure that the filter which is read is
	// the one on the device.
	recheck = 2 * time.Second
)

// reader is a goroutine that reads the events of one port.
type reader struct {
	port    string
	ifindex int
	in      func(func() error) error
	log     *slog.Logger
	ctx     context.Context
	stop    context.CancelFunc
	looks   chan struct{} // a token: the filter may have been set

	mu   sync.Mutex // over what follows
	book book
	lost uint64 // of all filters there were
}

func newReader(ctx context.Context, port string, ifindex int, in func(func() error) error, log *slog.Logger) *reader {
	r := &reader{port: port, ifindex: ifindex, in: in, log: log, looks: make(chan struct{}, 1)}
	r.ctx, r.stop = context.WithCancel(ctx)
	return r
}

func (r *reader) look() {
	select {
	case r.looks <- struct{}{}:
	default:
	}
}

func (r *reader) run() {
	failed := ""
	for r.ctx.Err() == nil {
		var v *bpf.Events
		err := r.in(func() (err error) { v, err = bpf.OpenEvents(r.ifindex); return err })
		if err == nil {
			failed = ""
			err = r.read(v)
			err = errors.Join(err, v.Close())
		}
		if err != nil && !errors.Is(err, bpf.ErrNotAttached) && !errors.Is(err, os.ErrClosed) && err.Error() != failed {
			failed = err.Error()
			r.log.Warn("what the filter drops is counted, but cannot be told; it is tried again", "port", r.port, "error", err)
		}
		select {
		case <-r.ctx.Done():
		case <-r.looks:
		case <-time.After(reopen):
		}
	}
}

// read reads v until it is not the device's filter any more, or the end.
func (r *reader) read(v *bpf.Events) error {
	defer context.AfterFunc(r.ctx, func() { _ = v.Stop() })()
	total := func(k kind) uint64 {
		n, err := v.Dropped(k.direction, k.reason)
		if err != nil {
			return 0 // closed meanwhile: nothing is told of it
		}
		return n
	}
	before := v.Lost()
	r.mu.Lock()
	r.book.open(total)
	base := r.lost
	r.mu.Unlock()
	check := time.Now().Add(recheck)
	for {
		until := check
		r.mu.Lock()
		if at := r.book.next(); !at.IsZero() && at.Before(until) {
			until = at
		}
		r.mu.Unlock()
		d, err := v.Read(until)
		now := time.Now()
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		r.mu.Lock()
		r.lost = base + v.Lost() - before
		lines := r.book.due(now, total)
		if err == nil {
			if l, ok := r.book.add(event{when(now, d.Monotonic), d}, total(kind{d.Direction, d.Reason})); ok {
				lines = append(lines, l)
			}
		}
		r.mu.Unlock()
		for _, l := range lines {
			r.tell(l)
		}
		if !now.Before(check) {
			attached := false
			if err := r.in(func() error { attached = v.Attached(r.ifindex); return nil }); err != nil || !attached {
				return err
			}
			check = now.Add(recheck)
		}
	}
}

func (r *reader) tell(l line) {
	r.log.Warn("the filter drops frames", "port", r.port, "direction", l.direction.String(), "reason", l.reason.String(),
		"count", l.count, "last", l.last.drop.Head.String())
}

// when is the wall clock's time of an instant of CLOCK_MONOTONIC, in ns.
func when(now time.Time, monotonic uint64) time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return now
	}
	ago := time.Duration(ts.Nano() - int64(monotonic))
	if ago < 0 {
		return now
	}
	return now.Add(-ago)
}

func mac(a [6]byte) string { return net.HardwareAddr(a[:]).String() }

func etherType(t uint16) string { return fmt.Sprintf("0x%04x", t) }

// address is with its port, if there is one.
func address(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}
