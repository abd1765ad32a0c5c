package bpf

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

const childEnv = "LINKSEAL_BPF_TEST_ATTACH" // ifindex, XDP mode, egress mode

// TestMain makes the test binary the daemon that attaches and ends.
func TestMain(m *testing.M) {
	if v := os.Getenv(childEnv); v != "" {
		if err := child(v); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if v := os.Getenv(guardEnv); v != "" {
		if err := guardChild(v); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child lives in a mount namespace of its own, with its own /sys/fs/bpf, as
// `ip netns exec` gives it.
func child(v string) error {
	f := strings.Split(v, ",")
	var n [3]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(f[i]); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make / a slave: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	if err := unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""); err != nil {
		return fmt.Errorf("mount /sys/fs/bpf: %w", err)
	}
	_, err := attach(n[0], plain, modes{Mode(n[1]), Mode(n[2])})
	return err
}

func TestOutlivesProcessAndMountNamespace(t *testing.T) {
	everywhere(t, func(t *testing.T, m modes) {
		w := newWire(t)
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := w.ns.Command(self)
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d,%d,%d", childEnv, w.index(), m.in, m.out))
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("child: %v\n%s", err, out)
		}
		if s := w.observe(t); !s.Enforces(plain) {
			t.Fatalf("observed %+v", s)
		}

		port, peer := w.stack(t, m), w.station(t, w.peer)
		peer.until(t, marked(t, port, 1))
		port.until(t, marked(t, peer, 1))
		for _, f := range clearFrames(t) {
			port.try(t, f)
			peer.send(t, f)
		}
		if c := clearOnes(peer.until(t, marked(t, port, 2))); len(c) > 0 {
			t.Errorf("sent in clear: %v", c)
		}
		if c := clearOnes(port.until(t, marked(t, peer, 2))); len(c) > 0 {
			t.Errorf("received in clear: %v", c)
		}

		var e *Enforcer
		w.do(t, func() (err error) { e, err = Open(w.index()); return err })
		defer e.Close()
		c, err := e.Counters()
		if err != nil {
			t.Fatal(err)
		}
		if c.Ingress.EAPOL.Packets != 2 || c.Egress.EAPOL.Packets != 2 || c.Ingress.Tagged.Packets == 0 || c.Egress.Tagged.Packets == 0 {
			t.Errorf("counters as a later process reads them: %+v", c)
		}
	})
}

// ids are the attached programs.
func (w *testWire) ids(t *testing.T) (ids [2]ebpf.ProgramID) {
	t.Helper()
	w.do(t, func() error {
		h, _, err := look(w.index())
		if err != nil {
			return err
		}
		defer h.Close()
		of := h.pair()
		for i, p := range []*program{of.in, of.out} {
			if p == nil {
				continue
			}
			info, err := p.Info()
			if err != nil {
				return err
			}
			ids[i], _ = info.ID()
		}
		return nil
	})
	return ids
}

// While clear frames run both ways, the settings change to and fro: not one
// passes, and the counters go on.
func TestReload(t *testing.T) {
	everywhere(t, func(t *testing.T, m modes) {
		w := newWire(t)
		e := w.attach(t, plain, m)
		before := w.ids(t)
		if w.attach(t, plain, m); w.ids(t) != before {
			t.Errorf("programs %v became %v where nothing changed", before, w.ids(t))
		}
		port, peer := w.stack(t, m), w.station(t, w.peer)
		peer.until(t, marked(t, port, 1))
		port.until(t, marked(t, peer, 1))
		clear := octets(t, otherMAC+peerMAC+"0800"+"4500", 60)

		stop := make(chan struct{})
		sent := [2]chan int{make(chan int), make(chan int)}
		for i, s := range []*station{port, peer} {
			go func() {
				n := 0
				for {
					select {
					case <-stop:
						sent[i] <- n
						return
					default:
						_, _ = unix.Write(s.fd, clear) // ENOBUFS on the port
						if n++; n%100 == 0 {
							time.Sleep(time.Millisecond) // who loads programs needs a processor too
						}
					}
				}
			}()
		}
		times := 6 // a load takes long while frames run
		if os.Getenv("LINKSEAL_SOAK") != "" {
			times = 100
		}
		for i := range times {
			f := []Filter{everything, plain}[i%2]
			w.attach(t, f, m)
			if s := w.observe(t); !s.Enforces(f) {
				t.Errorf("observed %+v", s)
			}
		}
		close(stop)
		a, b := <-sent[0], <-sent[1]
		if a == 0 || b == 0 {
			t.Errorf("%d and %d clear frames were sent", a, b)
		}
		if c := clearOnes(peer.until(t, marked(t, port, 2))); len(c) > 0 {
			t.Errorf("sent in clear: %d, %v", len(c), c[0])
		}
		if c := clearOnes(port.until(t, marked(t, peer, 2))); len(c) > 0 {
			t.Errorf("received in clear: %d, %v", len(c), c[0])
		}
		c, err := e.Counters() // of the first Attach
		if err != nil {
			t.Fatal(err)
		}
		if c.Egress.Dropped.Packets < uint64(a) {
			t.Errorf("egress: %d frames dropped of %d", c.Egress.Dropped.Packets, a)
		}
		// What the sender's driver lost, its ring being full, never came.
		var lost uint64
		w.do(t, func() error {
			l, err := netlink.LinkByIndex(w.peer.Attrs().Index)
			if err == nil {
				lost = l.Attrs().Statistics.TxDropped
			}
			return err
		})
		if c.Ingress.Dropped.Packets+lost < uint64(b) {
			t.Errorf("ingress: %d frames dropped and %d lost on the way, of %d", c.Ingress.Dropped.Packets, lost, b)
		}
		t.Logf("egress %d of %d; ingress %d and %d lost on the way, of %d", c.Egress.Dropped.Packets, a, c.Ingress.Dropped.Packets, lost, b)
	})
}

func TestDetach(t *testing.T) {
	everywhere(t, func(t *testing.T, m modes) {
		w := newWire(t)
		w.do(t, func() error { return Detach(w.index()) }) // nothing there: no error
		w.attach(t, plain, m)
		w.do(t, func() error { return Detach(w.index()) })
		if s := w.observe(t); s.Ingress.Mode != 0 || s.Egress.Mode != 0 || s.Enforces(plain) {
			t.Errorf("observed %+v", s)
		}
		w.do(t, func() error {
			if _, err := Open(w.index()); !errors.Is(err, ErrNotAttached) {
				t.Errorf("open: %v", err)
			}
			return nil
		})
		port, peer := w.station(t, w.port), w.station(t, w.peer)
		clear := octets(t, portMAC+peerMAC+"0800"+"4500", 60)
		port.send(t, clear)
		peer.until(t, clear)
		peer.send(t, clear)
		port.until(t, clear)
	})
}

// A direction that somebody has taken away is seen and put back.
func TestHalfGone(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{})
	w.do(t, func() error { return netlink.LinkSetXdpFd(w.port, -1) })
	if s := w.observe(t); s.Ingress.Mode != 0 || s.Egress.Mode == 0 || s.Enforces(plain) {
		t.Errorf("observed %+v", s)
	}
	w.attach(t, plain, modes{})
	if s := w.observe(t); !s.Enforces(plain) {
		t.Errorf("observed %+v", s)
	}
	now := [6]byte{2, 0, 0, 0, 0, 7}
	w.do(t, func() error { return netlink.LinkSetHardwareAddr(w.port, now[:]) })
	if s := w.observe(t); s.Enforces(plain) || s.Address != now || s.Ingress.Port != portAddress {
		t.Errorf("after a change of address: %+v", s)
	}
	w.attach(t, plain, modes{})
	if s := w.observe(t); !s.Enforces(plain) {
		t.Errorf("observed %+v", s)
	}
}

// foreignProgram passes everything, and lets no later program have a say.
func foreignProgram(t *testing.T, kind ebpf.ProgramType, pass int32) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "somebody_else", Type: kind, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// refuses checks that Attach names the foreign program and changes nothing.
func (w *testWire) refuses(t *testing.T, name string) {
	t.Helper()
	w.do(t, func() error {
		_, err := Attach(w.index(), plain)
		var f *ForeignError
		if !errors.As(err, &f) || f.Name != name || f.Device != "port" {
			t.Errorf("attach: %v; want an error that names %s", err, name)
		}
		return Detach(w.index())
	})
	s := w.observe(t)
	if s.Foreign == nil || s.Foreign.Name != name || s.Ingress.Mode != 0 || s.Egress.Mode != 0 {
		t.Errorf("observed %+v", s)
	}
}

func TestForeignXDP(t *testing.T) {
	for _, flags := range []int{unix.XDP_FLAGS_DRV_MODE, unix.XDP_FLAGS_SKB_MODE} {
		w := newWire(t)
		p := foreignProgram(t, ebpf.XDP, xdpPass)
		w.do(t, func() error { return netlink.LinkSetXdpFdWithFlags(w.port, p.FD(), flags) })
		w.refuses(t, "somebody_else")
		w.do(t, func() error {
			l, err := netlink.LinkByIndex(w.index())
			if err == nil && !l.Attrs().Xdp.Attached {
				t.Error("the foreign program is gone")
			}
			return err
		})
	}
}

// TCX has room for others: ours comes before them, now and when one has put
// itself first since.
func TestForeignTCX(t *testing.T) {
	if probetest.InGuest() && !probe.TCX.Check().OK {
		// The kernel is older than 6.6: then it has to be the clsact qdisc.
		w := newWire(t)
		w.attach(t, plain, modes{})
		if s := w.observe(t); s.Egress.Mode != Clsact || !s.Enforces(plain) {
			t.Errorf("observed %+v", s)
		}
		return
	}
	probetest.Need(t, probe.TCX)
	w := newWire(t)
	first := func() {
		p := foreignProgram(t, ebpf.SchedCLS, 0)
		w.do(t, func() error {
			return link.RawAttachProgram(link.RawAttachProgramOptions{Target: w.index(), Program: p, Attach: ebpf.AttachTCXEgress, Anchor: link.Head()})
		})
	}
	first()
	w.attach(t, plain, modes{})
	if s := w.observe(t); !s.Enforces(plain) {
		t.Errorf("observed %+v", s)
	}
	first()
	if s := w.observe(t); s.Egress.First || s.Enforces(plain) {
		t.Errorf("observed %+v, with another first", s)
	}
	w.attach(t, plain, modes{})
	if s := w.observe(t); !s.Enforces(plain) {
		t.Errorf("observed %+v", s)
	}
	w.do(t, func() error {
		if err := Detach(w.index()); err != nil {
			return err
		}
		res, err := link.QueryPrograms(link.QueryOptions{Target: w.index(), Attach: ebpf.AttachTCXEgress})
		if err == nil && len(res.Programs) != 2 {
			t.Errorf("%d programs are left; want both of somebody else", len(res.Programs))
		}
		return err
	})
}

func TestForeignClsact(t *testing.T) {
	probetest.Need(t, probe.Clsact)
	w := newWire(t)
	p := foreignProgram(t, ebpf.SchedCLS, 0)
	f := portEgress(w.port).filter()
	f.Fd, f.Name = p.FD(), "somebody_else"
	w.do(t, func() error { return errors.Join(netlink.QdiscAdd(clsact(w.port)), netlink.FilterAdd(f)) })
	if probe.TCX.Check().OK { // TCX is before clsact: no harm
		w.attach(t, plain, modes{})
		if s := w.observe(t); !s.Enforces(plain) || s.Foreign != nil {
			t.Errorf("observed %+v", s)
		}
		w.do(t, func() error { return Detach(w.index()) })
	} else {
		w.refuses(t, "somebody_else")
	}
	w.do(t, func() error {
		filters, err := netlink.FilterList(w.port, netlink.HANDLE_MIN_EGRESS)
		if err == nil && len(filters) == 0 {
			t.Error("the foreign filter is gone")
		}
		return err
	})
}

func TestNoDevice(t *testing.T) {
	w := newWire(t)
	w.do(t, func() error {
		if _, err := Attach(9999, plain); err == nil {
			t.Error("attached to nothing")
		}
		if _, err := Attach(1, Filter{EtherType: 0x0800}); err == nil { // lo
			t.Error("a filter that lets IPv4 through was attached")
		}
		return nil
	})
}
