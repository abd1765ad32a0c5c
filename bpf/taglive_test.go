package bpf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// tagModes runs f with each way to attach that the kernel has. In a guest that
// has clsact alone that is the one that is chosen: loading is slow there.
func tagModes(t *testing.T, f func(*testing.T, Mode)) {
	all := []Mode{TCX, Clsact, 0}
	if probetest.InGuest() && !probe.TCX.Check().OK {
		t.Log("tcx: the guest's kernel is there for clsact, the host tests TCX")
		all = []Mode{0}
	}
	for _, m := range all {
		t.Run(m.String(), func(t *testing.T) {
			switch m {
			case TCX:
				probetest.Need(t, probe.TCX)
			case Clsact:
				probetest.Need(t, probe.Clsact)
			}
			f(t, m)
		})
	}
}

func (w *testWire) tag(t testing.TB, l netlink.Link, m Mode, rules ...Rule) {
	t.Helper()
	w.do(t, func() error { return attachTags(l.Attrs().Index, rules, m) })
}

func (w *testWire) tags(t testing.TB, l netlink.Link) (s Tagging) {
	t.Helper()
	w.do(t, func() (err error) { s, err = ObserveTags(l.Attrs().Index); return err })
	return s
}

func (w *testWire) read(t testing.TB, l netlink.Link) (r TagTraffic) {
	t.Helper()
	w.do(t, func() (err error) { r, err = ReadTags(l.Attrs().Index); return err })
	return r
}

// class is what was counted of one.
func (r TagTraffic) class(name, direction string) Counter {
	for _, c := range r.Classes {
		if c.Name == name && c.Direction == direction {
			return c.Counter
		}
	}
	return Counter{}
}

// circuit is what was counted of one.
func (r TagTraffic) circuit(stag, ctag uint16, direction string) Counter {
	for _, c := range r.Circuits {
		if c.STag == stag && c.CTag == ctag && c.Direction == direction && !c.Rest {
			return c.Counter
		}
	}
	return Counter{}
}

// Rules come, change and go on a live device: each change is seen as it was
// made, a class that stays counts on, and nothing is left.
func TestTagsLife(t *testing.T) {
	tagModes(t, func(t *testing.T, m Mode) {
		w := newWire(t)
		a := rule("a", func(r *Rule) { r.STag, r.Direction = 100, OfBoth })
		b := rule("b", func(r *Rule) { r.CTag, r.Direction = 11, OfBoth })
		if s := w.tags(t, w.port); s.Ingress != 0 || s.Egress != 0 || s.Torn || s.Tags(nil) {
			t.Fatalf("before: %+v", s)
		}
		port, peer := w.station(t, w.port), w.station(t, w.peer)
		inA, inB := octets(t, macs+"88a80064"+"88b5", 60), octets(t, macs+"8100000b"+"88b5", 60)
		want := uint64(0)
		for i, rules := range [][]Rule{{a, b}, {b, a}, {a}, {}, {a}} {
			w.tag(t, w.port, m, rules...)
			w.tag(t, w.port, m, rules...)
			s := w.tags(t, w.port)
			if !s.Tags(rules) || s.Tags([]Rule{b}) || s.Ingress != s.Egress || m != 0 && s.Egress != m {
				t.Fatalf("%d: %+v after %+v", i, s, rules)
			}
			for _, f := range [][]byte{inA, inB} {
				port.send(t, f)
				peer.send(t, f)
			}
			peer.until(t, marked(t, port, byte(i)))
			port.until(t, marked(t, peer, byte(i)))
			if want++; len(rules) == 0 {
				want = 0 // the class went
			}
			r := w.read(t, w.port)
			for _, d := range directionNames {
				if got := r.class("a", d).Packets; got != want {
					t.Errorf("%d: %s of class a: %d frames, want %d", i, d, got, want)
				}
				if got, want := r.circuit(100, 0, d), (Counter{uint64(i + 1), uint64(i+1) * 60}); got != want {
					t.Errorf("%d: %s of circuit 100: %+v, want %+v", i, d, got, want)
				}
			}
		}
		w.do(t, func() error { return DetachTags(w.index()) })
		w.do(t, func() error { return DetachTags(w.index()) })
		if s := w.tags(t, w.port); s.Ingress != 0 || s.Egress != 0 {
			t.Errorf("after: %+v", s)
		}
	})
}

// What is on one side alone is torn, and made whole by the next.
func TestTagsTorn(t *testing.T) {
	tagModes(t, func(t *testing.T, m Mode) {
		w := newWire(t)
		w.tag(t, w.port, m, classed...)
		w.do(t, func() error {
			h := taggerHooks(w.port)[1]
			p, err := h.findTagger()
			if err != nil {
				return err
			}
			defer p.Close()
			if p.mode == Clsact {
				return h.detachClsact()
			}
			if err := p.openProgram(); err != nil {
				return err
			}
			return h.detachTCX(p.Program)
		})
		if s := w.tags(t, w.port); !s.Torn || s.Tags(classed) {
			t.Errorf("%+v", s)
		}
		w.tag(t, w.port, m, classed...)
		if s := w.tags(t, w.port); !s.Tags(classed) {
			t.Errorf("made whole: %+v", s)
		}
	})
}

// A filter on the port, a gate and tags share the egress of a device.
func TestTagsBesideGate(t *testing.T) {
	tagModes(t, func(t *testing.T, m Mode) {
		w := newWire(t)
		open := func() *Gate {
			var g *Gate
			w.do(t, func() (err error) { g, err = OpenGate(w.index(), w.peer.Attrs().Index); return err })
			return g
		}
		g := open()
		w.tag(t, w.port, m, classed...)
		w.do(t, g.Close)
		if s := w.tags(t, w.port); !s.Tags(classed) {
			t.Fatalf("after the gate has gone: %+v", s)
		}
		g = open()
		w.do(t, func() error { return DetachTags(w.index()) })
		port, peer := w.station(t, w.port), w.station(t, w.peer)
		peer.until(t, marked(t, port, 1))
		if g.inside(t) == 0 {
			t.Error("the gate has gone with the tags")
		}
		w.tag(t, w.port, m, classed...)
		peer.until(t, marked(t, port, 2))
		if n := w.read(t, w.port).circuit(0, 0, OfEgress).Packets; n == 0 {
			t.Error("behind an open gate nothing is counted")
		}
		w.do(t, g.Close)
	})
}

// apart is a wire whose peer has a namespace of its own, so that the two speak
// TCP.
func apart(t *testing.T) *secured {
	t.Helper()
	w := newWire(t)
	far, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	w.do(t, func() error { return netlink.LinkSetNsFd(w.peer, far.Fd()) })
	s := &secured{ends: [2]*testWire{w, {ns: far, port: w.peer, peer: w.port}}}
	for _, e := range s.ends {
		e.do(t, func() error { return netlink.LinkSetUp(e.port) })
	}
	return s
}

// dress gives each end's device of that name its address, sets it up, and waits
// until both send.
func (s *secured) dress(t *testing.T, name func(*testWire) string) {
	t.Helper()
	for i, e := range s.ends {
		e.do(t, func() error {
			l, err := netlink.LinkByName(name(e))
			if err != nil {
				return err
			}
			a, err := netlink.ParseAddr(fmt.Sprintf("192.0.2.%d/24", i+1))
			if err != nil {
				return err
			}
			return errors.Join(netlink.AddrReplace(l, a), netlink.LinkSetUp(l))
		})
	}
	for _, e := range s.ends {
		e.do(t, func() error {
			for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
				l, err := netlink.LinkByName(name(e))
				if err != nil || l.Attrs().OperState == netlink.OperUp {
					return err
				}
			}
			return errors.New("no carrier within 20 s")
		})
	}
}

// tcpClass is the class that a transfer is counted in.
var tcpClass = rule("tcp", func(r *Rule) { r.Protocol, r.Direction = 6, OfBoth })

// transfer sends octets over TCP from the first end to the second, and holds
// what both counted on their devices against each other and against that.
func (s *secured) transfer(t *testing.T, device func(*testWire) netlink.Link, n, headers uint64) (sent Counter) {
	t.Helper()
	if out, in, err := s.carry(int(n)); err != nil || out != in {
		t.Fatalf("received other than was sent, or nothing: %v", err)
	}
	// The last acknowledgements may be under way: a MACsec encrypts when it can.
	var got, back, heard Counter
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		a, b := s.ends[0].read(t, device(s.ends[0])), s.ends[1].read(t, device(s.ends[1]))
		sent, got = a.class("tcp", OfEgress), b.class("tcp", OfIngress)
		back, heard = b.class("tcp", OfEgress), a.class("tcp", OfIngress)
		if sent == got && back == heard {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("sent %+v, received %+v; back %+v, received %+v", sent, got, back, heard)
			break
		}
	}
	// The SYN has 8 octets of options more. What TCP sent twice left twice.
	twice := s.ends[0].retransmitted(t)
	if payload := sent.Octets - sent.Packets*headers - 8; payload < n || payload > n && twice == 0 {
		t.Errorf("%+v is %d octets of payload, want %d; %d segments were sent again", sent, payload, n, twice)
	}
	return sent
}

// retransmitted is how many segments the namespace's TCP has sent again.
func (w *testWire) retransmitted(t *testing.T) (n uint64) {
	t.Helper()
	out, err := w.ns.Command("cat", "/proc/net/snmp").Output()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if f[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		if n, err = strconv.ParseUint(f[slices.Index(names, "RetransSegs")], 10, 64); err != nil {
			t.Fatal(err)
		}
		return n
	}
	t.Fatalf("no Tcp in\n%s", out)
	return 0
}

func portOf(e *testWire) netlink.Link { return e.port }

// Bulk TCP, in super-packets where the devices take them, with a tag beside the
// frame and without: frames and octets are those of the wire.
func TestTagsCountSegments(t *testing.T) {
	probetest.Need(t, probe.VLAN)
	const n = 4 << 20
	tagModes(t, func(t *testing.T, m Mode) {
		s := apart(t)
		for _, e := range s.ends {
			e.tag(t, e.port, m, tcpClass)
		}
		s.dress(t, func(e *testWire) string { return e.port.Attrs().Name })
		s.transfer(t, portOf, n, 66)

		s = apart(t)
		for _, e := range s.ends {
			e.tag(t, e.port, m, tcpClass)
			e.do(t, func() error {
				return netlink.LinkAdd(&netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "vlan", ParentIndex: e.index()}, VlanId: 10})
			})
		}
		s.dress(t, func(*testWire) string { return "vlan" })
		sent := s.transfer(t, portOf, n, 70)
		if c := s.ends[0].read(t, s.ends[0].port).circuit(0, 10, OfEgress); c.Packets < sent.Packets {
			t.Errorf("of C-tag 10 %+v, of its TCP %+v", c, sent)
		}
	})
}

// On the kernel's MACsec device the frames are in clear, and counted as they
// were before the SecTAG.
func TestTagsOnMACsec(t *testing.T) {
	probetest.Need(t, probe.MACsec)
	tagModes(t, func(t *testing.T, m Mode) {
		s := newSecured(t)
		device := func(e *testWire) (l netlink.Link) {
			e.do(t, func() (err error) { l, err = netlink.LinkByName("macsec0"); return err })
			return l
		}
		for _, e := range s.ends {
			e.tag(t, device(e), m, tcpClass)
		}
		s.dress(t, func(*testWire) string { return "macsec0" })
		s.transfer(t, device, 1<<20, 66)
	})
}

// A mark that is set on what comes in chooses the route: ip rule fwmark.
func TestTagsMarkChoosesRoute(t *testing.T) {
	tagModes(t, func(t *testing.T, m Mode) {
		w := newWire(t)
		w.tag(t, w.port, m, rule("site", func(r *Rule) {
			r.Direction, r.Prefix, r.Mark, r.Mask = OfIngress, netip.MustParsePrefix("10.1.0.0/16"), 0x10, 0xf0
		}))
		out := map[string]netlink.Link{}
		w.do(t, func() error {
			for i, name := range []string{"marked", "plain"} {
				v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + ".far"}
				if err := netlink.LinkAdd(v); err != nil {
					return err
				}
				l, err := netlink.LinkByName(name)
				if err != nil {
					return err
				}
				end, err := netlink.LinkByName(name + ".far")
				if err != nil {
					return err
				}
				out[name] = l
				_, all, _ := net.ParseCIDR("198.51.100.0/24")
				err = errors.Join(netlink.LinkSetARPOff(l), netlink.LinkSetUp(end), netlink.LinkSetUp(l),
					netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: all, Scope: netlink.SCOPE_LINK, Table: []int{100, unix.RT_TABLE_MAIN}[i]}))
				if err != nil {
					return err
				}
			}
			mask := uint32(0xf0)
			r := netlink.NewRule()
			r.Mark, r.Mask, r.Table, r.Family, r.Priority = 0x10, &mask, 100, unix.AF_INET, 100
			// The sources have no route back.
			return errors.Join(netlink.RuleAdd(r), sysctl("net/ipv4/ip_forward", "1"), sysctl("net/ipv4/conf/all/rp_filter", "0"), sysctl("net/ipv4/conf/port/rp_filter", "0"))
		})
		for _, l := range out {
			w.tag(t, l, m, rule("site", func(r *Rule) { r.Prefix = netip.MustParsePrefix("198.51.100.0/24") }))
		}
		peer := w.station(t, w.peer)
		frame := func(from string) []byte {
			f := octets(t, datagram("", "00", "4000", "11", from, "c6336401", sip), 60)
			copy(f, portAddress[:])
			copy(f[6:], []byte{2, 0, 0, 0, 0, 9})
			return f
		}
		for range 3 {
			peer.send(t, frame("0a010203"))
		}
		for range 2 {
			peer.send(t, frame("0a020203"))
		}
		for name, want := range map[string]uint64{"marked": 3, "plain": 2} {
			got := uint64(0)
			for deadline := time.Now().Add(10 * time.Second); got != want && time.Now().Before(deadline); {
				got = w.read(t, out[name]).class("site", OfEgress).Packets
			}
			if got != want {
				t.Errorf("%d frames left by %s, want %d", got, name, want)
			}
		}
	})
}

func sysctl(name, value string) error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0o644) }
