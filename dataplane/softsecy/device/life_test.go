package device

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/link"
)

// The interface has the port's carrier, and is dormant until it is secured.
func TestInterfaceState(t *testing.T) {
	p := newPair(t, setting{mtu: 1500})
	e := p.west
	p.set(t, sa.Unsecured)
	if reaches(t, e, p.east, 50*time.Millisecond) {
		t.Error("traffic passes unsecured")
	}
	p.secure(t)
	echo(t, e, p.east, 100)
	for range 2 {
		e.d.LinkChanged(false)
		if l := e.link(t, e.tap.Index); l.Carrier || !l.Up {
			t.Errorf("the port lost its carrier: %+v", l)
		}
		e.d.LinkChanged(true)
		if l := e.link(t, e.tap.Index); !l.Carrier {
			t.Errorf("the port has a carrier: %+v", l)
		}
		await(t, "the interface to run", func() bool { return e.link(t, e.tap.Index).OperState == link.OperUp })
		echo(t, e, p.east, 100)
	}
	if err := e.d.SetControlledPort(sa.Clear); err == nil {
		t.Error("a must-secure port was set clear")
	}
	p.set(t, sa.Unsecured)
	if l := e.link(t, e.tap.Index); !l.Up || !l.Carrier {
		t.Errorf("unsecured: %+v", l)
	}
	if reaches(t, e, p.east, 50*time.Millisecond) {
		t.Error("traffic passes unsecured")
	}
	p.set(t, sa.Secured)
	echo(t, e, p.east, 100)
	if err := e.d.Close(); err != nil {
		t.Fatal(err)
	}
	e.open(t)
	if l := e.link(t, e.tap.Index); !l.IsDormant(true) {
		t.Errorf("opened again, before it is secured: %+v", l)
	}
}

// A port with more queues than the filter has room for is heard whole, by a
// packet socket.
func TestManyQueues(t *testing.T) {
	p := newPair(t, setting{mtu: 1500, queues: maxQueues + 1})
	if how := p.east.d.PortIO(); !strings.HasPrefix(how, "packet socket") || !strings.Contains(how, "more than the 64 queues") {
		t.Error(how)
	}
	p.secure(t)
	newStream(t, p.west, p.east).run(t, 256<<10, nil)
}

// A port with two queues has two workers, over which flows are spread, each in
// its order; with replay protection that is too strict for two there is one.
func TestTwoQueues(t *testing.T) {
	for _, c := range []struct {
		window  *uint32
		workers int
	}{{nil, min(2, processors())}, {new(uint32), 1}, {new(uint32(4096)), 1}, {new(uint32(1 << 20)), min(2, processors())}} {
		p := newPair(t, setting{mtu: 1500, queues: 2, window: c.window})
		if how := p.east.d.PortIO(); !strings.HasPrefix(how, "AF_XDP, 2 queues") || len(p.east.d.workers) != c.workers {
			t.Errorf("%s, %d workers, want %d", how, len(p.east.d.workers), c.workers)
		}
		p.secure(t)
		var flows sync.WaitGroup
		for i := range 4 {
			a, b := p.west, p.east
			if i%2 == 1 {
				a, b = b, a
			}
			s := newStream(t, a, b)
			flows.Go(func() { s.run(t, 512<<10, nil) })
		}
		for range 8 {
			from, to := p.west.udp(t), p.east.udp(t)
			flows.Go(func() {
				b := make([]byte, 8)
				for round := range byte(50) {
					for i := range byte(16) { // no more than rings and sockets hold
						if _, err := from.WriteToUDPAddrPort([]byte{round, i}, addrPort(to)); err != nil {
							t.Error(err)
							return
						}
					}
					for i := range byte(16) {
						if n, err := to.Read(b); err != nil || n != 2 || b[0] != round || b[1] != i {
							t.Errorf("datagram %d of round %d: %v, %v", i, round, b[:n], err)
							return
						}
					}
				}
			})
		}
		flows.Wait()
		p.settle(t)
	}
}

// A port with fewer queues to send by has no worker that would use another.
func TestFewSenders(t *testing.T) {
	p := newPair(t, setting{mtu: 1500, queues: 2, senders: 1})
	if how, n := p.east.d.PortIO(), len(p.east.d.workers); !strings.HasPrefix(how, "AF_XDP, 2 queues") || n != 1 {
		t.Fatalf("%s, %d workers, want 1", how, n)
	}
	p.secure(t)
	newStream(t, p.west, p.east).run(t, 256<<10, nil)
}

// A Device ends in the middle of its traffic, whole, and another takes its
// place.
func TestCloseUnderTraffic(t *testing.T) {
	for _, s := range []setting{{mtu: 1500, queues: 2}, {mtu: 9000}} {
		p := newPair(t, s)
		p.secure(t)
		echo(t, p.west, p.east, 100)
		how := p.east.d.PortIO()
		ca, cb := p.west.udp(t), p.east.udp(t)
		if err := errors.Join(p.west.d.Close(), p.east.d.Close()); err != nil {
			t.Error(err)
		}
		idle, before := goleak.IgnoreCurrent(), descriptors(t)
		procs := runtime.GOMAXPROCS(0)
		for range 3 {
			p.west.open(t)
			p.east.open(t)
			if now := p.east.d.PortIO(); now != how {
				t.Errorf("frames reach the port by %q, before by %q", now, how)
			}
			p.secure(t)
			stop := make(chan struct{})
			var senders sync.WaitGroup
			for range 2 {
				senders.Go(func() {
					for b := make([]byte, 1000); ; {
						select {
						case <-stop:
							return
						default: // what the interface does not take is lost
							ca.SetDeadline(time.Now().Add(patience))
							cb.SetDeadline(time.Now().Add(patience))
							_, _ = ca.WriteToUDPAddrPort(b, addrPort(cb))
							_, _ = cb.WriteToUDPAddrPort(b, addrPort(ca))
						}
					}
				})
			}
			await(t, "traffic", func() bool {
				return p.west.counters(t).InPktsOK > 500 && p.east.counters(t).InPktsOK > 500
			})
			for _, e := range []*side{p.west, p.east, p.west} {
				if err := e.d.Close(); err != nil {
					t.Error(err)
				}
			}
			close(stop)
			senders.Wait()
			if l := p.west.link(t, p.west.tap.Index); l.Carrier || !l.Up {
				t.Errorf("closed: %+v", l)
			}
			p.west.d.LinkChanged(true)
			p.west.d.FilterSet()
			if l := p.west.link(t, p.west.tap.Index); l.Carrier {
				t.Error("a closed Device gave a carrier")
			}
			if err := p.west.d.SetControlledPort(sa.Secured); err == nil || !strings.Contains(err.Error(), "it is closed") {
				t.Errorf("a closed Device was secured: %v", err)
			}
			p.west.counters(t)
			if err := goleak.Find(idle); err != nil {
				t.Error(err)
			}
			if now := descriptors(t); now != before {
				t.Errorf("%d descriptors are open, %d were", now, before)
			}
			if now := runtime.GOMAXPROCS(0); now != procs {
				t.Errorf("%d processors, before %d", now, procs)
			}
		}
	}
}

// What cannot be opened leaves nothing behind.
func TestOpenRefuses(t *testing.T) {
	p := newPair(t, setting{mtu: 1500})
	e := p.west
	if err := e.d.Close(); err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	for text, change := range map[string]func(o *Options){
		"tap sec0: open: it is not the interface with index 99": func(o *Options) { o.Index = 99 },
		"user-space SecY sec9: tap sec9: open: ":                func(o *Options) { o.Interface = "sec9" },
		"no such interface":                                     func(o *Options) { o.Parent = 99 },
		"SecY ":                                                 func(o *Options) { o.SecY.Suite = 9 },
	} {
		o := e.o
		change(&o)
		e.do(t, func() error {
			d, err := Open(o)
			if err == nil {
				d.Close()
			}
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%v; want %q in it", err, text)
			}
			return nil
		})
	}
	if now := descriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d were", now, before)
	}
	e.open(t) // and it can still be opened
	p.secure(t)
}

// Frames cost no memory.
func TestDoesNotAllocate(t *testing.T) {
	for _, mtu := range []int{1500, 9000} { // AF_XDP, packet sockets
		p := newPair(t, setting{mtu: mtu})
		p.secure(t)
		echo(t, p.west, p.east, 100)
		from, to := p.west.udp(t), p.east.udp(t)
		buf, addr := make([]byte, 1000), addrPort(to)
		burst := func() {
			for range 32 {
				if _, err := from.WriteToUDPAddrPort(buf, addr); err != nil {
					t.Fatal(err)
				}
			}
			for range 32 {
				if _, _, err := to.ReadFromUDPAddrPort(buf); err != nil {
					t.Fatal(err)
				}
			}
		}
		burst()
		const bursts = 200
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range bursts {
			burst()
		}
		runtime.ReadMemStats(&after)
		if n := after.Mallocs - before.Mallocs; n > bursts {
			t.Errorf("MTU %d: %d allocations for %d frames", mtu, n, bursts*32)
		}
	}
}

// A port that goes and comes back carries on; one that is removed ends nothing
// but its own traffic, and no goroutine spins over it.
func TestPortDownAndRemoved(t *testing.T) {
	for _, mtu := range []int{1500, 9000} {
		p := newPair(t, setting{mtu: mtu})
		p.secure(t)
		e := p.east
		if err := e.links.SetDown(e.port.Index); err != nil {
			t.Fatal(err)
		}
		if reaches(t, p.west, e, 50*time.Millisecond) {
			t.Error("a port that is down has traffic")
		}
		reaches(t, e, p.west, 0) // a frame that waits, or is lost
		if err := e.links.SetUp(e.port.Index); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*side{p.west, e} {
			await(t, "the carrier", func() bool { return s.link(t, s.port.Index).OperState == link.OperUp })
		}
		await(t, "traffic", func() bool { return reaches(t, p.west, e, 100*time.Millisecond) })
		echo(t, p.west, e, 100, 1000)

		if err := e.links.Delete(e.port.Index); err != nil {
			t.Fatal(err)
		}
		reaches(t, e, p.west, 0)
		var before, after unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
			t.Fatal(err)
		}
		unix.Poll(nil, 200)
		if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
			t.Fatal(err)
		}
		if used := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()); used > 100*time.Millisecond {
			t.Errorf("MTU %d: %v of processor time in 200 ms without a port", mtu, used)
		}
		if err := errors.Join(e.d.Close(), p.west.d.Close()); err != nil {
			t.Error(err)
		}
	}
}
