package bpf

import (
	"net"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// combinations are all ways to attach that the kernel has, with ingress by XDP.
func combinations(t *testing.T, f func(*testing.T, modes)) {
	eachOf(t, []modes{{Native, TCX}, {Generic, TCX}, {Native, Clsact}, {Generic, Clsact}, {}}, f)
}

// everywhere are those, and with ingress by tc.
func everywhere(t *testing.T, f func(*testing.T, modes)) {
	combinations(t, f)
	eachOf(t, []modes{{TCX, TCX}, {Clsact, Clsact}}, f)
}

func eachOf(t *testing.T, all []modes, f func(*testing.T, modes)) {
	for _, m := range all {
		if m.out == TCX && probetest.InGuest() && !probe.TCX.Check().OK {
			t.Logf("%s and %s: the guest's kernel is there for clsact, the host tests TCX", m.in, m.out)
			continue
		}
		name := m.in.String() + " and " + m.out.String()
		if m == (modes{}) {
			name = "by itself"
		}
		t.Run(name, func(t *testing.T) {
			switch m.out {
			case TCX:
				probetest.Need(t, probe.TCX)
			case Clsact:
				probetest.Need(t, probe.Clsact)
			}
			f(t, m)
		})
	}
}

// sendUDP sends in clear the ordinary way: through the IP stack and tc.
func (w *testWire) sendUDP(t *testing.T) {
	t.Helper()
	w.do(t, func() error {
		a, err := netlink.ParseAddr("192.0.2.1/24")
		if err != nil {
			return err
		}
		if err := netlink.AddrReplace(w.port, a); err != nil {
			return err
		}
		n := &netlink.Neigh{LinkIndex: w.index(), IP: net.IPv4(192, 0, 2, 2), State: netlink.NUD_PERMANENT, HardwareAddr: w.peer.Attrs().HardwareAddr}
		if err := netlink.NeighSet(n); err != nil {
			return err
		}
		c, err := net.Dial("udp4", "192.0.2.2:9")
		if err != nil {
			return err
		}
		defer c.Close()
		_, _ = c.Write([]byte("in clear")) // tc's drop may be reported: ENOBUFS
		return nil
	})
}

// clearFrames are octets of all kinds that must not be on the wire.
func clearFrames(t *testing.T) (frames [][]byte) {
	for _, p := range packets {
		if p.filter.EtherType == plain.EtherType && p.filter.EAPOLDestination == paeGroup && p.in > portVerdictALLOWED && p.out > portVerdictALLOWED {
			frames = append(frames, octets(t, p.frame, 60))
		}
	}
	return frames
}

// try sends a frame that the egress hook drops, which the kernel reports as
// ENOBUFS.
func (s *station) try(t *testing.T, frame []byte) {
	t.Helper()
	if _, err := unix.Write(s.fd, frame); err != nil && err != unix.ENOBUFS {
		t.Fatal(err)
	}
}

func TestNothingPassesInClear(t *testing.T) {
	everywhere(t, func(t *testing.T, m modes) {
		w := newWire(t)
		e := w.attach(t, plain, m)
		s := w.observe(t)
		if m.in != 0 && s.Ingress.Mode != m.in || m.out != 0 && s.Egress.Mode != m.out {
			t.Errorf("attached %s and %s", s.Ingress.Mode, s.Egress.Mode)
		}
		if m == (modes{}) && (s.Ingress.Mode != Native || s.Egress.Mode != TCX && probe.TCX.Check().OK) {
			t.Errorf("chose %s and %s", s.Ingress.Mode, s.Egress.Mode)
		}
		if !s.Enforces(plain) || s.Enforces(wan) || s.Enforces(everything) || s.Foreign != nil {
			t.Errorf("observed %+v", s)
		}

		port, peer := w.stack(t, m), w.station(t, w.peer)
		macsec := octets(t, packets[0].frame, 60)
		frames := clearFrames(t)
		peer.until(t, marked(t, port, 1)) // what was on the way when the filter came
		w.sendUDP(t)
		for _, f := range frames {
			port.try(t, f)
		}
		port.send(t, macsec)
		port.send(t, mark(2))
		got := peer.until(t, mark(2))
		if c := clearOnes(got); len(c) > 0 {
			t.Errorf("sent in clear: %v", c)
		}
		if !slices.ContainsFunc(got, func(f []byte) bool { return string(f) == string(macsec) }) {
			t.Errorf("the MACsec frame is missing in %x", got)
		}

		port.until(t, marked(t, peer, 3))
		for _, f := range frames {
			peer.send(t, f)
		}
		peer.send(t, macsec)
		peer.send(t, mark(4))
		got = port.until(t, mark(4))
		if c := clearOnes(got); len(c) > 0 {
			t.Errorf("received in clear: %v", c)
		}
		if !slices.ContainsFunc(got, func(f []byte) bool { return string(f) == string(macsec) }) {
			t.Errorf("the MACsec frame is missing in %x", got)
		}

		c, err := e.Counters()
		if err != nil {
			t.Fatal(err)
		}
		n := uint64(len(frames))
		if c.Egress.MACsec != (Counter{1, 60}) || c.Egress.EAPOL != (Counter{2, 120}) || c.Egress.Dropped.Packets+c.Egress.Tagged.Packets < n+1 {
			t.Errorf("egress counters %+v after %d clear frames and a datagram", c.Egress, n)
		}
		if c.Ingress.MACsec != (Counter{1, 60}) || c.Ingress.EAPOL != (Counter{2, 120}) || c.Ingress.Dropped.Packets+c.Ingress.Tagged.Packets < n {
			t.Errorf("ingress counters %+v after %d clear frames", c.Ingress, n)
		}
	})
}

// marked sends a mark and returns it: what is received before it was sent
// before it.
func marked(t *testing.T, s *station, n byte) []byte {
	t.Helper()
	s.send(t, mark(n))
	return mark(n)
}

// This is the hole that the package documents: a packet socket that passes
// over the queueing discipline passes over egress hooks.
func TestQdiscBypassIsNotSeen(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{})
	port, peer := w.station(t, w.port), w.station(t, w.peer)
	clear := octets(t, portMAC+peerMAC+"0800"+"4500", 60)
	port.try(t, clear)
	port.send(t, mark(1))
	if c := clearOnes(peer.until(t, mark(1))); slices.ContainsFunc(c, func(s string) bool { return s[:28] == portMAC+peerMAC+"0800" }) {
		t.Fatalf("sent in clear without bypass: %v", c)
	}
	if err := unix.SetsockoptInt(port.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		t.Fatal(err)
	}
	port.send(t, clear)
	peer.until(t, clear) // it passed
}
