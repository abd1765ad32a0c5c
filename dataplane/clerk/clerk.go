// Package clerk keeps a port's accounts: it stands before the SecY, gives each
// key its counters in the filter before the SA is installed, and writes down
// what they counted, in the state directory, when a key ends and every minute.
//
// It never stops MKA: what it cannot count or write it says in the log and in
// the status. A port without a filter has no accounts.
package clerk

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/account"
	"github.com/linkseal/linkseal/keymgmt/kay"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// every is how often current accounts are written: what a machine that stops
// loses at the most.
const every = time.Minute

// Options say whose accounts a Clerk keeps.
type Options struct {
	SecY   kay.SecY
	SCI    sa.SCI // the port's own
	Parent int    // ifindex of the port's device, which has the filter
	// State is the state directory, and Port the port's name in it.
	State, Port string
	Log         *slog.Logger
}

// Clerk is a kay.SecY in front of another.
type Clerk struct {
	o    Options
	work chan struct{} // a key has begun or ended
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex
	sas     *bpf.SAs // nil: there is no filter
	ledger  account.Ledger
	unsaved bool      // a key has ended that is in no file
	closed  time.Time // when the port was last known to be closed; zero: never
	why     string    // why it is not; "": it is
	told    bool      // Enforced was called
	failed  map[string]string
}

// What can fail, each by itself.
const (
	opening  = "the filter's counters of keys cannot be opened"
	counting = "MACsec frames are not counted by key"
	writing  = "accounts are not written"
)

// Open opens the counters of the filter on the port, in the calling thread's
// network namespace, and takes over those of the SAs that are there. Start has
// it write.
func Open(o Options) *Clerk {
	c := &Clerk{o: o, work: make(chan struct{}, 1), failed: make(map[string]string)}
	var err error
	if c.ledger, err = c.load(); err != nil {
		o.Log.Warn("accounts of earlier keys cannot be read; what could not is left out", "error", err)
	}
	c.closed = c.ledger.Counted
	c.FilterSet()
	return c
}

// Start starts the goroutine that writes. ckn names the SAs' keys as far as it
// can; it may ask the KaY.
func (c *Clerk) Start(ckn func() map[string]string) {
	c.stop, c.done = make(chan struct{}), make(chan struct{})
	go func(stop, done chan struct{}) {
		defer close(done)
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-t.C:
			case <-c.work:
			case <-stop:
				return
			}
			c.write(ckn())
		}
	}(c.stop, c.done)
}

// Close writes for the last time and lets the counters go. SAs that the kernel
// has go on and are counted; the next Clerk takes them over. The KaY has been
// closed before. It may be called again.
func (c *Clerk) Close() error {
	if c.stop != nil {
		close(c.stop)
		<-c.done
		c.stop = nil
	}
	c.write(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.sas != nil {
		err = c.sas.Close()
		c.sas = nil
	}
	return err
}

// Apply implements kay.SecY. A key has its counters before its SA is there.
func (c *Clerk) Apply(change sa.Change) error {
	if change.Kind == sa.InstallRx || change.Kind == sa.InstallTx {
		c.count(func(s *bpf.SAs) error { return s.Begin(c.sa(change), time.Now()) })
	}
	err := c.o.SecY.Apply(change)
	switch {
	case err != nil && (change.Kind == sa.InstallRx || change.Kind == sa.InstallTx), change.Kind == sa.DeleteSC:
		c.count(c.adopt) // the AN may have the key that it had
	case err == nil && (change.Kind == sa.DeleteRx || change.Kind == sa.DeleteTx):
		c.count(func(s *bpf.SAs) error { return s.End(c.sa(change), time.Now()) })
	}
	switch change.Kind {
	case sa.Encode, sa.RaiseLowestPN:
	default:
		c.wake()
	}
	return err
}

// Observe implements kay.SecY.
func (c *Clerk) Observe(t *sa.Table) error { return c.o.SecY.Observe(t) }

// SetControlledPort implements kay.SecY.
func (c *Clerk) SetControlledPort(p sa.ControlledPort) error { return c.o.SecY.SetControlledPort(p) }

func (c *Clerk) sa(change sa.Change) bpf.SA {
	a := bpf.SA{Direction: bpf.Ingress, SCI: change.SCI, AN: change.SA.AN, Key: change.SA.Key.Octets()}
	if change.Kind == sa.InstallTx || change.Kind == sa.DeleteTx {
		a.Direction, a.SCI = bpf.Egress, c.o.SCI
	}
	return a
}

// count does something with the counters, if there are any.
func (c *Clerk) count(f func(*bpf.SAs) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sas != nil {
		c.report(counting, f(c.sas))
	}
}

// adopt has counters for the SAs that the SecY has, and for no others.
func (c *Clerk) adopt(s *bpf.SAs) error {
	var t sa.Table
	if err := c.o.SecY.Observe(&t); err != nil {
		return err
	}
	there := make(map[bpf.SA]bool)
	for _, tx := range t.Tx {
		there[bpf.SA{Direction: bpf.Egress, SCI: c.o.SCI, AN: tx.AN, Key: tx.Key.Octets()}] = true
	}
	for _, rx := range t.Rx {
		there[bpf.SA{Direction: bpf.Ingress, SCI: rx.SCI, AN: rx.AN, Key: rx.Key.Octets()}] = true
	}
	now := time.Now()
	var errs []error
	for _, a := range s.Current() {
		if !there[a] {
			errs = append(errs, s.End(a, now))
		}
	}
	for a := range there {
		errs = append(errs, s.Begin(a, now))
	}
	return errors.Join(errs...)
}

// FilterSet tells that the filter was set on the port, perhaps with counters
// that are others: those that were there end, and say that the filter was missing.
// It is called in the thread whose network namespace has the port.
func (c *Clerk) FilterSet() {
	s, err := bpf.OpenSAs(c.o.Parent)
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, bpf.ErrNotAttached) {
		return
	}
	c.report(opening, err)
	if err != nil {
		return
	}
	switch old := c.sas; {
	case old == nil:
	case old.Same(s):
		c.report(counting, s.Close())
		c.split()
		return
	default:
		err = c.end(old, time.Now())
	}
	c.sas = s
	c.split()
	c.report(counting, errors.Join(err, c.adopt(s)))
}

// report logs a new cause, and its end. The lock is held.
func (c *Clerk) report(what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == c.failed[what] {
		return
	}
	c.failed[what] = text
	if err != nil {
		c.o.Log.Error(what+"; keys are agreed on all the same", "error", err)
	} else {
		c.o.Log.Info("no longer: " + what)
	}
}
