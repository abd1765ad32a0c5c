package device

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/packet"
	"github.com/linkseal/linkseal/linux/tap"
)

// Options say what a Device works on.
type Options struct {
	// Interface is the tap, with Index; Parent is the port's ifindex.
	Interface string
	Index     int
	Parent    int
	// SecY's MaxMPDU is set here, by the port's MTU.
	SecY softsecy.Config
	// EAPOL is the EtherType of the port's EAPOL, which is not the SecY's.
	EAPOL uint16
	Log   *slog.Logger
}

// Device is a SecY with its frames moving. It is a kay.SecY, safe for
// concurrent use.
type Device struct {
	*softsecy.SecY
	o       Options
	links   *link.Handle
	all     *packet.Reception
	ports   *ports
	taps    []*tap.Queue
	workers []*worker
	wake    int // eventfd: readable when it is time to stop
	stop    atomic.Bool
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// Open opens the tap and the port in the calling thread's network namespace
// and starts to move frames; none passes before SetControlledPort says so. The
// interface has no carrier until LinkChanged gives it one.
func Open(o Options) (*Device, error) {
	d := &Device{o: o, wake: -1}
	if err := d.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("user-space SecY %s: %w", o.Interface, err), d.Close())
	}
	return d, nil
}

func (d *Device) open() (err error) {
	if d.links, err = link.Open(); err != nil {
		return err
	}
	parent, err := d.links.ByIndex(d.o.Parent)
	if err != nil {
		return err
	}
	d.o.SecY.MaxMPDU = parent.MTU + etherLen
	if d.SecY, err = softsecy.New(d.o.SecY); err != nil {
		return err
	}
	if d.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	// Group addresses are in clear before the SecTAG.
	if d.all, err = packet.OpenReception(d.o.Parent); err != nil {
		return err
	}
	queues, err := d.links.Queues(parent)
	if err != nil {
		return err
	}
	if d.ports, err = openPorts(d.o, parent, queues); err != nil {
		return err
	}
	// The first queue gives the tap a carrier, before it can be taken away, and a
	// process that was killed while secured left it so that this makes it UP.
	if l, err := d.links.ByIndex(d.o.Index); err == nil && l.Tap && l.Name == d.o.Interface && !l.IsDormant(true) {
		if err := d.links.SetDormant(d.o.Index, true); err != nil {
			return err
		}
	}
	for range d.ports.workers(d.o.SecY.ReplayWindow) {
		q, err := tap.Open(d.o.Interface, d.o.Index)
		if err != nil {
			return err
		}
		d.taps = append(d.taps, q)
	}
	if err := d.taps[0].SetCarrier(false); err != nil {
		return err
	}
	d.start()
	return nil
}

// start starts the workers.
func (d *Device) start() {
	reserve(2 * len(d.taps))
	for i, q := range d.taps {
		w := newWorker(d, q, d.ports.of(i, len(d.taps)))
		d.workers = append(d.workers, w)
		w.start()
	}
	d.o.Log.Info("the user-space SecY moves frames", "port_io", d.PortIO(), "workers", len(d.workers))
}

// PortIO says how frames reach the port, for people.
func (d *Device) PortIO() string { return d.ports.how }

// SetParameters changes them between two frames; MaxMPDU stays.
func (d *Device) SetParameters(p softsecy.Parameters) {
	p.MaxMPDU = d.o.SecY.MaxMPDU
	if n := len(d.workers); n > 1 && d.ports.workers(p.ReplayWindow) == 1 {
		d.o.Log.Warn("the replay window is narrower than what several workers may mix up; frames can be late until linkseal is started again", "replay_window", *p.ReplayWindow, "workers", n)
	}
	d.SecY.SetParameters(p)
}

// LinkChanged tells the port's carrier, which is the interface's too.
func (d *Device) LinkChanged(up bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	if err := d.taps[0].SetCarrier(up); err != nil {
		d.o.Log.Error("the interface's carrier is not the port's", "error", err)
	}
}

// SetPromiscuous has the port receive all frames, as the interface does in a
// bridge, or no longer. It is called with what is another value than before,
// false at first.
func (d *Device) SetPromiscuous(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	if err := d.all.SetPromiscuous(on); err != nil {
		d.o.Log.Error("the port does not receive all that the interface is to", "error", err)
	}
}

// FilterSet tells that the must filter was set on the port, perhaps after it
// had been taken away: it is to feed the port's sockets. works is false if it
// does that no more (bpf.ErrByTC): another Device has packet sockets.
func (d *Device) FilterSet() (works bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.ports.filter.Load() == nil {
		return true
	}
	err := d.ports.feed()
	if err != nil {
		d.o.Log.Error("the filter does not hand frames to the user-space SecY", "error", err)
	}
	return !errors.Is(err, bpf.ErrByTC)
}

// SetControlledPort opens or closes the port, as softsecy.SecY's does, and
// tells it to the kernel: the interface is DORMANT while unsecured. It is
// never taken down: that would flush its addresses and routes.
func (d *Device) SetControlledPort(p sa.ControlledPort) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("user-space SecY %s: set the controlled port %s: it is closed", d.o.Interface, p)
	}
	// The frames first: what the interface announces is then true.
	if err := d.SecY.SetControlledPort(p); err != nil {
		return fmt.Errorf("user-space SecY %s: %w", d.o.Interface, err)
	}
	l, err := d.links.ByIndex(d.o.Index)
	if err != nil {
		return err
	}
	dormant := p != sa.Secured && p != sa.Clear
	if l.IsDormant(dormant) {
		return nil
	}
	return d.links.SetDormant(d.o.Index, dormant)
}

// Counters are the SecY's, with what the port lost for want of room.
func (d *Device) Counters() (softsecy.Counters, error) {
	c := d.SecY.Counters()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		c.InPktsOverrun += d.ports.overruns()
	}
	return c, nil
}

// Close stops moving frames. The tap stays, without carrier.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	d.stop.Store(true)
	if d.wake >= 0 {
		one := [8]byte{1}
		unix.Write(d.wake, one[:]) // it cannot be full
	}
	d.running.Wait()
	reserve(-2 * len(d.workers))
	var err error
	if d.ports != nil {
		err = d.ports.Close()
	}
	for _, q := range d.taps {
		err = errors.Join(err, q.Close())
	}
	if d.wake >= 0 {
		err = errors.Join(err, unix.Close(d.wake))
		d.wake = -1
	}
	if d.all != nil {
		err = errors.Join(err, d.all.Close())
	}
	if d.links != nil {
		err = errors.Join(err, d.links.Close())
	}
	return err
}

// processors is GOMAXPROCS without the workers' share.
var processors = sync.OnceValue(func() int { return runtime.GOMAXPROCS(0) })

// reserved is the workers' share.
var reserved struct {
	sync.Mutex
	n int
}

// reserve gives n goroutines room of their own to run in, or takes it back
// with -n: a worker is in system calls that the scheduler does not know of,
// and the KaY must not wait for it.
func reserve(n int) {
	own := processors()
	reserved.Lock()
	defer reserved.Unlock()
	reserved.n += n
	runtime.GOMAXPROCS(own + reserved.n)
}
