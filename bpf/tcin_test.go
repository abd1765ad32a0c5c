package bpf

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	tcx "github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/eapol"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/probe"
)

// byTC is what ingress is by in tc, on this kernel.
func byTC() Mode {
	if probe.TCX.Check().OK {
		return TCX
	}
	return Clsact
}

// refuseXDP puts a device upon the port that has an XDP program of its own, which
// allow takes away: the kernel lets the port have none meanwhile.
func (w *testWire) refuseXDP(t *testing.T) (allow func()) {
	t.Helper()
	p := foreignProgram(t, ebpf.XDP, xdpPass)
	above := &netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "above", ParentIndex: w.index()}, Mode: netlink.MACVLAN_MODE_BRIDGE}
	w.do(t, func() error {
		err := netlink.LinkAdd(above)
		if errors.Is(err, unix.EEXIST) {
			err = nil
		}
		return errors.Join(err, netlink.LinkSetXdpFdWithFlags(above, p.FD(), unix.XDP_FLAGS_SKB_MODE))
	})
	return func() {
		w.do(t, func() error { return netlink.LinkSetXdpFdWithFlags(above, -1, unix.XDP_FLAGS_SKB_MODE) })
	}
}

// Where the kernel refuses XDP ingress is by tc, with all that is counted; it
// goes back to XDP when that can be had.
func TestXDPRefused(t *testing.T) {
	w := newWire(t)
	allow := w.refuseXDP(t)
	e := w.attach(t, plain, modes{})
	if s := w.observe(t); s.Ingress.Mode != byTC() || !s.Enforces(plain) || s.Enforces(everything) || s.Foreign != nil {
		t.Fatalf("observed %+v", s)
	}
	before := w.ids(t)
	if w.attach(t, plain, modes{}); w.ids(t) != before {
		t.Errorf("programs %v became %v where nothing changed", before, w.ids(t))
	}
	port, peer := w.stack(t, modes{in: TCX}), w.station(t, w.peer)
	for _, f := range clearFrames(t) {
		peer.send(t, f)
	}
	peer.send(t, numbered(t, 1, 60))
	got := port.until(t, marked(t, peer, 1))
	if c := clearOnes(got); len(c) > 0 || len(got) != 1 {
		t.Errorf("received %d frames, in clear: %v", len(got), c)
	}
	w.do(t, func() error {
		if _, err := OpenSockets(w.index()); !errors.Is(err, ErrByTC) {
			t.Errorf("sockets: %v", err)
		}
		var no *NoXDPError
		if err := Lift(w.index()); !errors.As(err, &no) || !strings.Contains(err.Error(), "a device upon this one") {
			t.Errorf("XDP was had, or it is not told why not: %v", err)
		}
		return nil
	})
	if s := w.observe(t); s.Ingress.Mode != byTC() || !s.Enforces(plain) {
		t.Errorf("observed %+v", s)
	}
	w.attach(t, everything, modes{})
	if s := w.observe(t); s.Ingress.Mode != byTC() || !s.Enforces(everything) {
		t.Errorf("after a change of settings: %+v", s)
	}
	was := e.counters(t).Ingress
	if n := uint64(len(clearFrames(t))); was.MACsec != (Counter{1, 60}) || was.EAPOL != (Counter{1, 60}) || was.Dropped.Packets+was.Tagged.Packets < n {
		t.Errorf("counters %+v", was)
	}

	allow()
	w.do(t, func() error { return Lift(w.index()) })
	s := w.observe(t)
	if s.Ingress.Mode != Native || !s.Enforces(everything) {
		t.Errorf("when XDP could be had: %+v", s)
	}
	w.do(t, func() error { return Lift(w.index()) }) // it is there
	now := e.counters(t).Ingress
	if now.MACsec != was.MACsec || now.EAPOL != was.EAPOL || now.Dropped.Packets < was.Dropped.Packets {
		t.Errorf("counters %+v became %+v", was, now)
	}

	// Upon a port that has XDP: it stays as it is, and says why.
	w.refuseXDP(t)
	w.attach(t, everything, modes{})
	w.do(t, func() error {
		if _, err := Attach(w.index(), plain); err == nil || !strings.Contains(err.Error(), "a device upon this one") {
			t.Errorf("a change of settings: %v", err)
		}
		return nil
	})
	if s := w.observe(t); s.Ingress.Mode != Native || s.Ingress.Twice || s.Enforces(plain) {
		t.Errorf("observed %+v", s)
	}
}

// While clear frames come in, ingress moves between all its hooks, and from where
// a move was cut off: not one passes, and the counters go on.
func TestIngressMoves(t *testing.T) {
	w := newWire(t)
	w.quiet(t)
	e := w.attach(t, plain, modes{in: Native})
	port, peer := w.stack(t, modes{in: TCX}), w.station(t, w.peer)
	port.until(t, marked(t, peer, 1))
	clear := octets(t, otherMAC+peerMAC+"0800"+"4500", 60)
	stop, sent := make(chan struct{}), uint64(0)
	var sending sync.WaitGroup
	sending.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := unix.Write(peer.fd, clear); err == nil {
					sent++
				}
			}
		}
	})
	tc := byTC()
	for _, m := range []Mode{tc, Generic, tc, Clsact, tc, Native, Clsact, Generic, Clsact, Native} {
		w.attach(t, plain, modes{in: m})
		if s := w.observe(t); s.Ingress.Mode != m || !s.Enforces(plain) {
			t.Errorf("moved to %s: %+v", m, s)
		}
	}
	w.do(t, func() error { // into tc, and XDP stays
		h, _, err := look(w.index())
		if err != nil {
			return err
		}
		defer h.Close()
		p := pair{in: inTC(t, h.pair())}
		return h.tc[Ingress].put(p.in, 0)
	})
	if s := w.observe(t); s.Ingress.Mode != Native || !s.Ingress.Twice || s.Enforces(plain) {
		t.Errorf("at both hooks: %+v", s)
	}
	w.attach(t, plain, modes{})
	if s := w.observe(t); s.Ingress.Mode != Native || !s.Enforces(plain) {
		t.Errorf("observed %+v", s)
	}
	close(stop)
	sending.Wait()
	if got := port.until(t, marked(t, peer, 2)); len(got) > 0 {
		t.Errorf("%d frames passed: %x", len(got), got[0])
	}
	var lost uint64
	w.do(t, func() error {
		l, err := netlink.LinkByIndex(w.peer.Attrs().Index)
		if err == nil {
			lost = l.Attrs().Statistics.TxDropped
		}
		return err
	})
	if c := e.counters(t).Ingress; c.Dropped.Packets+lost < sent || c.EAPOL.Packets < 2 {
		t.Errorf("of %d frames %d were lost on the way, counted is %+v", sent, lost, c)
	}
}

// The kernel takes a tag out of the frame before tc; what is judged and counted
// is what XDP does.
func TestTagsByTC(t *testing.T) {
	frames := [][]byte{
		octets(t, portMAC+peerMAC+"88e5"+"2c0000000001"+secSCI, 60),
		octets(t, portMAC+peerMAC+"8100000a"+"88e5"+"2c0000000002"+secSCI, 61),
		octets(t, portMAC+peerMAC+"88a80064"+"88e5"+"2c0000000003"+secSCI, 62),
		octets(t, portMAC+peerMAC+"88a80064"+"8100000a"+"88e5"+"2c0000000004"+secSCI, 63),
		octets(t, portMAC+peerMAC+"91000064"+"8100000a"+"88e5"+"2c0000000005"+secSCI, 64),
		octets(t, portMAC+peerMAC+"88a80064"+"8100000a"+"8100000b"+"88e5"+"2c0000000006", 65),
		octets(t, portMAC+peerMAC+"8100000a"+"0800"+"4500", 66),
		octets(t, pae+peerMAC+"8100e000"+"888e"+"0305", 67),
	}
	type seen struct {
		Verdicts Verdicts
		Circuits []Circuit
	}
	count := func(m modes) (s seen) {
		w := newWire(t)
		w.quiet(t)
		e := w.attach(t, plain, m)
		nameSCs(t, e.maps[portMapScs], Ingress, 1, 1)
		port, peer := w.stack(t, m), w.station(t, w.peer)
		port.until(t, marked(t, peer, 1))
		before := e.counters(t).Ingress
		for _, f := range frames {
			peer.send(t, f)
		}
		port.until(t, marked(t, peer, 2))
		s.Verdicts = e.counters(t).Ingress
		for _, v := range []struct{ now, was *Counter }{{&s.Verdicts.Dropped, &before.Dropped}, {&s.Verdicts.EAPOL, &before.EAPOL}} {
			v.now.Packets, v.now.Octets = v.now.Packets-v.was.Packets, v.now.Octets-v.was.Octets
		}
		var err error
		if s.Circuits, err = e.OuterCircuits(); err != nil {
			t.Fatal(err)
		}
		for i := range s.Circuits {
			s.Circuits[i].Seen = time.Time{}
		}
		return s
	}
	xdp := count(modes{in: Native})
	if xdp.Verdicts.MACsec != (Counter{5, 60 + 61 + 62 + 63 + 64}) || xdp.Verdicts.Tagged != (Counter{3, 65 + 66 + 67}) || len(xdp.Circuits) != 3 {
		t.Fatalf("XDP has seen %+v", xdp)
	}
	for _, m := range []Mode{TCX, Clsact} {
		if m == byTC() || m == Clsact {
			if d := cmp.Diff(xdp, count(modes{in: m})); d != "" {
				t.Errorf("%s sees other than XDP (-) does:\n%s", m, d)
			}
		}
	}
}

// Frames are not joined before ingress by tc, and are again after it.
func TestNotJoinedBeforeTC(t *testing.T) {
	w := newWire(t)
	gro := func() (on bool) {
		w.do(t, func() (err error) { on, err = link.GRO("port"); return err })
		return on
	}
	set := func(on bool) { w.do(t, func() error { return link.SetGRO("port", on) }) }
	for _, was := range []bool{true, false} {
		set(was)
		for range 2 { // the second time nothing changes
			w.attach(t, plain, modes{in: byTC()})
			if s := w.observe(t); gro() || s.Joins || !s.Enforces(plain) {
				t.Errorf("GRO is %v: %+v", gro(), s)
			}
		}
		w.do(t, func() error { return Detach(w.index()) })
		if gro() != was {
			t.Errorf("GRO was %v and is %v", was, gro())
		}
	}
	w.attach(t, plain, modes{in: byTC()})
	set(true)
	if s := w.observe(t); !s.Joins || s.Enforces(plain) {
		t.Errorf("frames are joined: %+v", s)
	}
	w.attach(t, everything, modes{in: byTC()})
	if s := w.observe(t); gro() || !s.Enforces(everything) {
		t.Errorf("attached again: %+v", s)
	}
	w.do(t, func() error { return Lift(w.index()) })
	if s := w.observe(t); s.Ingress.Mode != Native || !gro() {
		t.Errorf("back in XDP, GRO is %v: %+v", gro(), s)
	}
}

// EAPOL reaches its socket, and is limited before it.
func TestEAPOLByTC(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{in: byTC()})
	peer := w.station(t, w.peer)
	var c *eapol.Conn
	var l *Limit
	w.do(t, func() (err error) {
		if c, err = eapol.Listen(w.index(), eapol.Options{Destination: paeGroup, EtherType: plain.EtherType}); err != nil {
			return err
		}
		l, err = OpenLimit(w.index())
		return err
	})
	defer c.Close()
	defer l.Close()
	if err := l.Set([]Member{{CKN: []byte{7}, Peers: []Peer{{heard, [12]byte(slices.Repeat([]byte{1}, 12))}}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	const flood = 500
	for range flood {
		peer.send(t, hello(other, 3, []byte{9}))
	}
	last := hello(heard, 1, []byte{7})
	peer.send(t, last)
	strangers, buf := 0, make([]byte, eapol.MaxFrame)
	for {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("after %d of strangers: %v", strangers, err)
		}
		if cmp.Equal(buf[:n], last) {
			break
		}
		strangers++
	}
	if strangers == 0 || strangers > flood/2 {
		t.Errorf("the socket has %d of %d from strangers", strangers, flood)
	}
}

// Somebody else's program in XDP's place is refused as ever, and what is in tc
// stays; in tc ours is the first.
func TestForeignBesideTC(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{in: byTC()})
	if byTC() == TCX {
		first := foreignProgram(t, ebpf.SchedCLS, 0)
		w.do(t, func() error {
			return tcx.RawAttachProgram(tcx.RawAttachProgramOptions{Target: w.index(), Program: first, Attach: ebpf.AttachTCXIngress, Anchor: tcx.Head()})
		})
		if s := w.observe(t); s.Ingress.First || s.Enforces(plain) {
			t.Errorf("with another first: %+v", s)
		}
		w.attach(t, plain, modes{in: TCX})
		if s := w.observe(t); !s.Ingress.First || !s.Enforces(plain) {
			t.Errorf("observed %+v", s)
		}
	}
	p := foreignProgram(t, ebpf.XDP, xdpPass)
	w.do(t, func() error {
		if err := netlink.LinkSetXdpFdWithFlags(w.port, p.FD(), unix.XDP_FLAGS_SKB_MODE); err != nil {
			return err
		}
		var f *ForeignError
		if _, err := Attach(w.index(), everything); !errors.As(err, &f) || f.Name != "somebody_else" {
			t.Errorf("attach: %v", err)
		}
		if err := Lift(w.index()); !errors.As(err, &f) {
			t.Errorf("lift: %v", err)
		}
		return nil
	})
	if s := w.observe(t); s.Foreign == nil || s.Ingress.Mode != byTC() || !s.Enforces(plain) {
		t.Errorf("observed %+v", s)
	}
}

// A qdisc of kind ingress would take an egress filter, and have it see what comes
// in: it is named.
func TestIngressQdisc(t *testing.T) {
	w := newWire(t)
	w.do(t, func() error {
		q := &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: w.index(), Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS}}
		if err := netlink.QdiscAdd(q); err != nil {
			return err
		}
		if _, err := attach(w.index(), plain, modes{out: Clsact}); err == nil || !strings.Contains(err.Error(), "tc qdisc del dev port ingress") {
			t.Errorf("attach: %v", err)
		}
		return nil
	})
	if s := w.observe(t); s.Egress.Mode != 0 || s.Enforces(plain) {
		t.Errorf("observed %+v", s)
	}
}
