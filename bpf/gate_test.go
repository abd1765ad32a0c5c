package bpf

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// gate loads the programs without attaching them.
func gate(t *testing.T) (*Gate, *gatePrograms) {
	t.Helper()
	probetest.Need(t, probe.BPF)
	var obj gateObjects
	if err := loadGateObjects(&obj, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { obj.Close() })
	return &Gate{shut: obj.Shut, busy: obj.Busy}, &obj.gatePrograms
}

func pass(t *testing.T, p *ebpf.Program) time.Duration {
	t.Helper()
	before, err := monotonic()
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 60), Repeat: 1})
	if err != nil || got != tcNext {
		t.Fatalf("answered %d, %v", int32(got), err)
	}
	after, err := monotonic()
	if err != nil {
		t.Fatal(err)
	}
	return after - before
}

func (g *Gate) inside(t *testing.T) (n uint64) {
	t.Helper()
	var cpus []uint64
	if err := g.busy.Lookup(uint32(0), &cpus); err != nil {
		t.Fatal(err)
	}
	for _, c := range cpus {
		n += c
	}
	return n
}

func TestGateCounts(t *testing.T) {
	g, p := gate(t)
	pass(t, p.LinksealEnter)
	if n := g.inside(t); n < 1 {
		t.Errorf("%d inside after one went in", n)
	}
	// This thread may be on another processor by now; a frame is not.
	for range 1000 {
		pass(t, p.LinksealEnter)
		pass(t, p.LinksealLeave)
		if g.inside(t) == 0 {
			return
		}
	}
	t.Errorf("%d inside after all went out", g.inside(t))
}

// A frame waits while the gate is shut, until the time that was set at the
// most: whoever set it may have died.
func TestGateHolds(t *testing.T) {
	g, p := gate(t)
	const hold = 50 * time.Millisecond
	for try := 1; ; try++ {
		now, err := monotonic()
		if err != nil {
			t.Fatal(err)
		}
		if err := g.shut.Put(uint32(0), uint64(now+hold)); err != nil {
			t.Fatal(err)
		}
		pass(t, p.LinksealEnter)
		then, err := monotonic()
		if err != nil {
			t.Fatal(err)
		}
		// A million turns take longer on any processor but a very fast one.
		if then-now < hold/4 {
			t.Errorf("the frame passed after %v", then-now)
		}
		if n := g.inside(t); n != uint64(2*try-1) {
			t.Errorf("%d inside, want the %d", n, 2*try-1)
		}
		took := pass(t, p.LinksealEnter)
		if then-now < hold || took <= hold/2 {
			return
		}
		if try == 10 { // once and again the processor may have been taken from it
			t.Fatalf("past its time the gate held a frame for %v", took)
		}
	}
}

// While waits for what is inside, and opens again whatever the change says.
func TestGateWhile(t *testing.T) {
	g, p := gate(t)
	failure := errors.New("the change's")
	torn, err := g.While(func() error { return failure })
	for range 100 { // the gate stays shut for less than a thread may be without a processor
		if !errors.Is(err, failure) || torn == "" {
			break
		}
		torn, err = g.While(func() error { return failure })
	}
	if torn != "" || !errors.Is(err, failure) {
		t.Errorf("%q, %v", torn, err)
	}
	torn, err = g.While(func() error {
		for start, _ := monotonic(); ; {
			if now, _ := monotonic(); now-start > 2*shutFor {
				return nil
			}
		}
	})
	if n, _ := ebpf.PossibleCPU(); n > 1 && !strings.Contains(torn, "the change took") || err != nil {
		t.Errorf("%q, %v", torn, err)
	}
	pass(t, p.LinksealEnter)
	before, _ := monotonic()
	torn, err = g.While(func() error { return nil })
	after, _ := monotonic()
	if n, _ := ebpf.PossibleCPU(); n > 1 && (torn != "1 frames did not come out of the device" || err != nil || after-before < insideFor) {
		t.Errorf("%q, %v, after %v; want the frame to be waited for", torn, err, after-before)
	}
	var until uint64
	if err := g.shut.Lookup(uint32(0), &until); err != nil || until != 0 {
		t.Errorf("shut until %d, %v", until, err)
	}
}

// TestGateLive shuts and opens the gate under TCP through a kernel's MACsec
// device: everything arrives, and what was made for it is gone after.
func TestGateLive(t *testing.T) {
	s := newSecured(t)
	e := s.ends[0]
	e.do(t, func() error {
		upper, err := netlink.LinkByName("macsec0")
		if err != nil {
			return err
		}
		return PrepareGate(upper.Attrs().Index, e.index())
	})
	var stop atomic.Bool
	done := make(chan int, 1)
	go func() {
		turns := 0
		defer func() { done <- turns }()
		for ; turns == 0 || !stop.Load(); turns++ {
			err := e.ns.Do(func() error {
				upper, err := netlink.LinkByName("macsec0")
				if err != nil {
					return err
				}
				g, err := OpenGate(upper.Attrs().Index, e.index())
				if err != nil {
					return err
				}
				for range 10 {
					if torn, err := g.While(func() error { return nil }); err != nil || torn != "" {
						t.Logf("%s, %v", torn, err)
					}
				}
				return g.Close()
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 2 {
		sent, got, err := s.carry(1 << 18)
		if err != nil || sent != got {
			t.Errorf("sent %x, received %x, %v", sent, got, err)
		}
	}
	stop.Store(true)
	t.Logf("%d gates, each shut 10 times", <-done)
	for _, name := range []string{"macsec0", e.port.Attrs().Name} {
		e.do(t, func() error {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			filters, err := netlink.FilterList(l, netlink.HANDLE_MIN_EGRESS)
			if err == nil && len(filters) > 0 {
				t.Errorf("%s: filters left: %v", name, filters)
			}
			return err
		})
	}
}
