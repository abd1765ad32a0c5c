package bpf

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

const xdpRedirect = 4

func (w *testWire) sockets(t testing.TB) *Sockets {
	t.Helper()
	probetest.Need(t, probe.AFXDP)
	var s *Sockets
	w.do(t, func() (err error) { s, err = OpenSockets(w.index()); return err })
	t.Cleanup(func() { s.Close() })
	return s
}

func (e *Enforcer) counters(t testing.TB) Counters {
	t.Helper()
	c, err := e.Counters()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// numbered is a MACsec frame that no other is like.
func numbered(t testing.TB, n byte, size int) []byte {
	return octets(t, portMAC+peerMAC+"88e5"+"2c00000000"+string("0123456789abcdef"[n>>4])+string("0123456789abcdef"[n&15]), size)
}

// With a socket for its queue a MACsec frame goes there, all else where it went
// without; a frame in pieces goes to the stack.
func TestRedirect(t *testing.T) {
	probetest.Need(t, probe.AFXDP)
	w, p := newWire(t), loaded(t, plain)
	if got := p.held(portMapXsks).MaxEntries(); got != queues {
		t.Fatalf("room for %d queues; filter.go says %d", got, queues)
	}
	run := func(frame []byte) uint32 {
		got, err := p.in.Run(&ebpf.RunOptions{Data: frame, Repeat: 1})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	macsec, jumbo := numbered(t, 1, 60), numbered(t, 1, 9000)
	if a, b := run(macsec), run(jumbo); a != xdpPass || b != xdpPass {
		t.Errorf("without a socket it answers %d and %d, want %d", a, b, xdpPass)
	}
	s, err := openSockets(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(0, w.xsk(t, w.port).fd); err != nil {
		t.Fatal(err)
	}
	for _, frame := range [][]byte{macsec, numbered(t, 1, 3400)} {
		if got := run(frame); got != xdpRedirect {
			t.Errorf("MACsec of %d octets: answers %d, want %d", len(frame), got, xdpRedirect)
		}
	}
	if got := run(jumbo); got != xdpPass {
		t.Errorf("MACsec in pieces: answers %d, want %d", got, xdpPass)
	}
	for _, tt := range packets {
		if !cmp.Equal(tt.filter, plain) || tt.in == portVerdictMACSEC {
			continue
		}
		want, _ := answers(tt.in)
		if got := run(octets(t, tt.frame, 60)); got != want {
			t.Errorf("%s: answers %d, want %d", tt.name, got, want)
		}
	}
	for _, queue := range []int{-1, queues} {
		if err := s.Put(queue, 0); err == nil {
			t.Errorf("queue %d was accepted", queue)
		}
	}
	if err := s.Put(1, 0); err == nil {
		t.Error("standard input was accepted as an AF_XDP socket")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := run(macsec); got != xdpPass {
		t.Errorf("after Close it answers %d, want %d", got, xdpPass)
	}
}

// Frames of the wire reach the socket, EAPOL and long frames the stack.
func TestSocketReceives(t *testing.T) {
	combinations(t, func(t *testing.T, m modes) {
		w := newWire(t)
		w.do(t, func() error {
			return errors.Join(netlink.LinkSetMTU(w.port, 9000), netlink.LinkSetMTU(w.peer, 9000))
		})
		e := w.attach(t, plain, m)
		port, peer := w.station(t, w.port), w.station(t, w.peer)
		s, x := w.sockets(t), w.xsk(t, w.port)
		if err := s.Put(0, x.fd); err != nil {
			t.Fatal(err)
		}
		for n := range byte(20) {
			frame := numbered(t, n, 60+70*int(n))
			peer.send(t, frame)
			if got := x.next(t); !bytes.Equal(got, frame) {
				t.Fatalf("frame %d: the socket has %x", n, got)
			}
		}
		got := port.until(t, marked(t, peer, 1))
		if slices.ContainsFunc(got, func(f []byte) bool { return f[12] == 0x88 && f[13] == 0xe5 }) {
			t.Errorf("the stack has MACsec too: %x", got)
		}
		jumbo := numbered(t, 99, 9000)
		peer.send(t, jumbo)
		port.until(t, jumbo)
		x.close() // the kernel takes it out
		last := numbered(t, 100, 60)
		peer.send(t, last)
		port.until(t, last)
		if c := e.counters(t).Ingress.MACsec; c.Packets != 22 {
			t.Errorf("ingress %+v; want 22 frames of MACsec", c)
		}
	})
}

// Sockets and their counter are the same after a change of settings, and when
// one direction was taken away and put back.
func TestSocketsStay(t *testing.T) {
	combinations(t, func(t *testing.T, m modes) {
		w := newWire(t)
		e := w.attach(t, plain, m)
		peer := w.station(t, w.peer)
		s, x := w.sockets(t), w.xsk(t, w.port)
		if err := s.Put(0, x.fd); err != nil {
			t.Fatal(err)
		}
		var sent uint64
		check := func(after string, n byte) {
			t.Helper()
			s.Sent(Batch{Packets: 3, Octets: 300})
			sent += 3
			frame := numbered(t, n, 60)
			peer.send(t, frame)
			if got := x.next(t); !bytes.Equal(got, frame) {
				t.Errorf("after %s: the socket has %x", after, got)
			}
			var later *Enforcer
			w.do(t, func() (err error) { later, err = Open(w.index()); return err })
			defer later.Close()
			if c := later.counters(t); c.Egress.MACsec != (Counter{sent, 100 * sent}) {
				t.Errorf("after %s: %d frames were sent, counted are %+v", after, sent, c.Egress.MACsec)
			}
		}
		check("attaching", 1)
		w.attach(t, everything, m)
		if st := w.observe(t); !st.Enforces(everything) {
			t.Errorf("observed %+v", st)
		}
		check("a change of settings", 2)
		w.do(t, func() error {
			h, _, err := look(w.index())
			if err != nil {
				return err
			}
			defer h.Close()
			return setXDP(h.link, h.xdpMode, -1, h.xdp.FD())
		})
		w.attach(t, everything, m)
		check("ingress was taken away", 3)
		w.do(t, func() error {
			h, _, err := look(w.index())
			if err != nil {
				return err
			}
			defer h.Close()
			return h.tc[Egress].remove()
		})
		w.do(t, func() error {
			if _, err := OpenSockets(w.index()); !errors.Is(err, ErrNotAttached) {
				t.Errorf("with egress open: %v", err)
			}
			return nil
		})
		w.attach(t, plain, m)
		check("egress was taken away", 4)
		if c := e.counters(t).Egress.MACsec; c.Packets != sent {
			t.Errorf("the first Attach's counters say %+v", c)
		}
	})
}

// Sent counts for many at once, also for one that is late.
func TestSent(t *testing.T) {
	w := newWire(t)
	e, s := w.attach(t, plain, modes{}), w.sockets(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				s.Sent(Batch{Packets: 2, Octets: 120})
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if c := e.counters(t).Egress.MACsec; c != (Counter{8000, 480000}) {
		t.Errorf("counted %+v", c)
	}
	if n := testing.AllocsPerRun(100, func() { s.Sent(Batch{Packets: 1, Octets: 60}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A kernel that does not make the map has the filter without it. The map here
// is of a type that no kernel has.
func TestWithoutAFXDP(t *testing.T) {
	combinations(t, func(t *testing.T, m modes) {
		w := newWire(t)
		attach := func(f Filter) (e *Enforcer) {
			spec, err := loadPort()
			if err != nil {
				t.Fatal(err)
			}
			spec.Maps[portMapXsks].Type = 0x7fff
			w.do(t, func() (err error) { e, err = attachSpec(w.index(), spec, f, m); return err })
			t.Cleanup(func() { e.Close() })
			return e
		}
		attach(plain)
		before := w.ids(t)
		e := attach(plain)
		if w.ids(t) != before {
			t.Errorf("programs %v became %v where nothing changed", before, w.ids(t))
		}
		if st := w.observe(t); !st.Enforces(plain) {
			t.Errorf("observed %+v", st)
		}
		w.do(t, func() error {
			if _, err := OpenSockets(w.index()); !errors.Is(err, ErrNoSockets) {
				t.Errorf("open: %v", err)
			}
			return nil
		})
		port, peer := w.station(t, w.port), w.station(t, w.peer)
		macsec := numbered(t, 1, 60)
		peer.send(t, octets(t, portMAC+peerMAC+"0800"+"4500", 60))
		peer.send(t, macsec)
		if c := clearOnes(port.until(t, macsec)); len(c) > 0 {
			t.Errorf("received in clear: %v", c)
		}
		attach(everything)
		if st := w.observe(t); !st.Enforces(everything) {
			t.Errorf("observed %+v", st)
		}
		if c := e.counters(t).Ingress; c.MACsec.Packets != 1 || c.Dropped.Packets == 0 {
			t.Errorf("ingress counters %+v", c)
		}
		// The same with the map: as after a move to another kernel.
		probetest.Need(t, probe.AFXDP)
		w.attach(t, everything, m)
		w.sockets(t)
	})
}

// The filter of a version without the maps is seen not to be this, and is
// replaced; its counters, which are of another layout, end with it.
func TestOlderVersion(t *testing.T) {
	probetest.Need(t, probe.AFXDP)
	combinations(t, func(t *testing.T, m modes) {
		w := newWire(t)
		w.older(t, m)
		if st := w.observe(t); st.Ingress.Mode == 0 || st.Egress.Mode == 0 || st.Enforces(plain) || st.Foreign != nil {
			t.Errorf("observed %+v", st)
		}
		w.do(t, func() error {
			if _, err := OpenSockets(w.index()); !errors.Is(err, errOtherVersion) {
				t.Errorf("open: %v", err)
			}
			if _, err := Open(w.index()); !errors.Is(err, errOtherVersion) {
				t.Errorf("open: %v", err)
			}
			return nil
		})
		port, peer := w.station(t, w.port), w.station(t, w.peer)
		macsec := numbered(t, 1, 60)
		peer.send(t, macsec)
		port.until(t, macsec)
		e := w.attach(t, plain, m)
		if st := w.observe(t); !st.Enforces(plain) {
			t.Errorf("observed %+v", st)
		}
		peer.send(t, macsec)
		port.until(t, macsec)
		if c := e.counters(t).Ingress.MACsec; c != (Counter{1, 60}) {
			t.Errorf("counters: %+v", c)
		}
		w.sockets(t)
	})
}

// older attaches what version 1 of the filter was: other settings, and neither
// map.
func (w *testWire) older(t *testing.T, m modes) {
	t.Helper()
	spec, err := loadPort()
	if err != nil {
		t.Fatal(err)
	}
	s, err := plain.settings(portAddress)
	if err != nil {
		t.Fatal(err)
	}
	s.Magic--
	if err := spec.Variables[portVarMust].Set(s); err != nil {
		t.Fatal(err)
	}
	spec.Programs[portProgLinksealInStack].Name = portProgLinksealIn
	var obj struct {
		In  *ebpf.Program `ebpf:"linkseal_in_stack"`
		Out *ebpf.Program `ebpf:"linkseal_out"`
	}
	if err := spec.LoadAndAssign(&obj, nil); err != nil {
		t.Fatal(err)
	}
	p := pair{&program{Program: obj.In}, &program{Program: obj.Out}}
	t.Cleanup(p.Close)
	w.do(t, func() error {
		h, _, err := look(w.index())
		if err != nil {
			return err
		}
		defer h.Close()
		return errors.Join(h.tc[Egress].put(p.out, m.out), h.shutXDP(p.in, m.in))
	})
}
