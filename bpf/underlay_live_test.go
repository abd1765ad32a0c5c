package bpf

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// protectedFrames are in clear, of a protected prefix, of all kinds.
func protectedFrames(t *testing.T) (frames [][]byte) {
	for _, p := range underlayPackets {
		if p.filter.Underlay != nil && p.in == dropped && p.out == dropped {
			frames = append(frames, octets(t, p.frame, 60))
		}
	}
	return frames
}

// While frames of protected prefixes run both ways in clear, the set of prefixes
// and the flows are changed, and the programs are replaced, again and again:
// none passes, and the tunnel loses none.
func TestUnderlayLive(t *testing.T) {
	others := hub
	others.Protect = append(many(100), hub.Protect...)
	others.Flows = append([]Flow{{Protocol: IPsec, Local: local4, Remote: inside4, AnySPI: true}}, hub.Flows...)
	reloaded := overlay
	reloaded.Allow, reloaded.Underlay = []Protocol{LLDP}, &others
	everywhere(t, func(t *testing.T, m modes) {
		w := newWire(t)
		e := w.attach(t, overlay, m)
		if s := w.observe(t); !s.Enforces(overlay) || s.Enforces(reloaded) || s.Enforces(plain) {
			t.Errorf("observed %+v", s)
		}
		port, peer := w.stack(t, m), w.station(t, w.peer)
		peer.until(t, marked(t, port, 1))
		port.until(t, marked(t, peer, 1))

		frames := protectedFrames(t)
		out := octets(t, ether("0800", v4(local4, remote4, 50, 0, esp(0x2001, 1))), 60)
		in := octets(t, ether("0800", v4(remote4, local4, 50, 0, esp(0x1001, 1))), 60)
		var done atomic.Bool
		var both sync.WaitGroup
		var rounds [directions]uint64
		flood := func(d int, from *station, tunnel []byte) {
			all := append(slices.Clone(frames), tunnel)
			for ; !done.Load() || rounds[d] == 0; rounds[d]++ {
				for i, f := range all {
					_, err := unix.Write(from.fd, f)
					for d == 0 && err == unix.ENOBUFS { // veth's queue is full: no filter is there
						runtime.Gosched()
						_, err = unix.Write(from.fd, f)
					}
					// a drop on egress is reported, but not one of the tunnel's
					if err != nil && (err != unix.ENOBUFS || i == len(frames)) {
						t.Error(err)
						return
					}
				}
				time.Sleep(time.Millisecond) // who loads programs needs a processor too
			}
		}
		both.Go(func() { flood(0, peer, in) })
		both.Go(func() { flood(1, port, out) })
		for i := range 4 {
			next := hub
			if i%2 == 0 {
				next = others
			}
			if err := e.SetUnderlay(next); err != nil {
				t.Error(err)
			}
		}
		w.attach(t, reloaded, m)
		done.Store(true)
		both.Wait()

		if s := w.observe(t); !s.Enforces(reloaded) || s.Enforces(overlay) {
			t.Errorf("observed %+v after a change", s)
		}
		for d, got := range [][][]byte{port.until(t, marked(t, peer, 2)), peer.until(t, marked(t, port, 2))} {
			passed := uint64(0)
			for _, f := range got {
				if slices.ContainsFunc(frames, func(p []byte) bool { return bytes.Equal(f, p) }) {
					t.Errorf("direction %d: passed in clear: %x", d, f)
				}
				if bytes.Equal(f, [][]byte{in, out}[d]) {
					passed++
				}
			}
			if passed != rounds[d] {
				t.Errorf("direction %d: %d of the tunnel's %d frames passed", d, passed, rounds[d])
			}
			t.Logf("direction %d: %d frames in clear, %d of the tunnel", d, rounds[d]*uint64(len(frames)), passed)
		}
		all, err := e.Flows()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			switch c.SPI {
			case 0x1001:
				if c.Packets != rounds[0] {
					t.Errorf("%+v counted of %d", c, rounds[0])
				}
			case 0x2001:
				if c.Packets != rounds[1] {
					t.Errorf("%+v counted of %d", c, rounds[1])
				}
			}
		}
		c, err := e.Counters()
		if err != nil {
			t.Fatal(err)
		}
		n := uint64(len(frames))
		if c.Ingress.Protected.Packets < n*rounds[0] || c.Egress.Protected.Packets < n*rounds[1] || c.Ingress.Tunnel.Packets != rounds[0] || c.Egress.Tunnel.Packets != rounds[1] {
			t.Errorf("counters %+v after %d rounds of %d", c, rounds, n)
		}
	})
}

// A port becomes an underlay, and none again, without a moment in which it is
// neither.
func TestBecomesUnderlay(t *testing.T) {
	w := newWire(t)
	e := w.attach(t, plain, modes{})
	if err := e.SetUnderlay(hub); err == nil {
		t.Error("a port that is no underlay takes prefixes")
	}
	w.attach(t, overlay, modes{})
	s := w.observe(t)
	if !s.Enforces(overlay) || s.Underlay == nil || len(s.Underlay.Protect) != 2 {
		t.Errorf("observed %+v", s)
	}
	var later *Enforcer
	w.do(t, func() (err error) { later, err = Open(w.index()); return err })
	defer later.Close()
	if err := later.SetUnderlay(Underlay{Protect: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}); err != nil {
		t.Fatal(err)
	}
	if s := w.observe(t); s.Enforces(overlay) {
		t.Error("another set of prefixes is not seen")
	}
	w.attach(t, overlay, modes{})
	if s := w.observe(t); !s.Enforces(overlay) {
		t.Errorf("observed %+v", s)
	}
	port, peer := w.station(t, w.port), w.station(t, w.peer)
	peer.until(t, marked(t, port, 1))
	clear := octets(t, ether("0800", v4(local4, elsewhere4, 6, 0, tcp)), 60)
	hidden := octets(t, ether("0800", v4(local4, inside4, 6, 0, tcp)), 60)
	port.try(t, hidden)
	port.send(t, clear)
	for _, f := range peer.until(t, clear) {
		if binary.BigEndian.Uint16(f[12:]) == 0x0800 && bytes.Contains(f, inside4.AsSlice()) {
			t.Errorf("passed in clear: %x", f)
		}
	}
	w.attach(t, plain, modes{})
	if s := w.observe(t); !s.Enforces(plain) || s.Underlay != nil {
		t.Errorf("observed %+v", s)
	}
}
