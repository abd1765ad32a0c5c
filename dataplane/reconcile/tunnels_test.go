package reconcile

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/overlaytest"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
)

// hub is a WireGuard tunnel hub1 on eth2; extra are further keys of it.
func hub(extra string) string {
	return "tunnels:\n  - {name: hub1, type: wireguard, device: eth2, interface: wg1, local: 10.0.0.4, remote: 10.20.0.5, protect: [10.20.0.0/16], addresses: [169.254.21.2/30]" + extra +
		",\n     wireguard: {peer_public_key: \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\", keychain: k2}}\n"
}

// runTunnel is run with eth2 and these tunnels; k2 has PSKs.
func runTunnel(t *testing.T, tunnels string, test func(*world)) {
	m := newMachine("eth1", "eth2")
	m.can.NoWireGuard = "this test has none" // tuns
	runWith(t, m, portLine("a", "eth1", "")+tunnels, func(w *world) {
		w.sources["k2"].load = psks(time.Now(), "a", "b")
	}, test)
}

// opened are the sessions of tunnels so far.
func (w *world) opened() []*overlaytest.Session {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*overlaytest.Session(nil), w.tunnels...)
}

func (w *world) tunnel(name string) status.Tunnel {
	w.t.Helper()
	for _, s := range w.r.Status().Tunnels {
		if s.Name == name {
			return s
		}
	}
	w.t.Fatalf("no tunnel %s in the status", name)
	return status.Tunnel{}
}

// ofTunnel are the steps that are not port a's.
func (w *world) ofTunnel() (steps []string) {
	for _, s := range w.machine.taken() {
		if !strings.Contains(s, "eth1") {
			steps = append(steps, s)
		}
	}
	return steps
}

const (
	throws      = "throw 10.20.0.5/32"
	unreachable = "unreachable 10.20.0.0/16"
	inner       = "unreachable 169.254.21.0/30"
	byWG1       = "10.20.0.0/16 by wg1"
	innerByWG1  = "169.254.21.0/30 by wg1"
)

func TestTunnel(t *testing.T) {
	runTunnel(t, hub(", mss: 1350"), func(w *world) {
		w.want("steps", []string{
			"filter eth2: nothing from or to 10.20.0.0/16 may pass but tunnels",
			"fence: nothing to 10.20.0.0/16 leaves by an interface other than eth2, wg1",
			"add ipv4 rule: 5210, look up table 19539",
			"add ipv6 rule: 5210, look up table 19539",
			"route " + throws,
			"route " + unreachable,
			"route unreachable 169.254.21.0/30",
			"create wg1: userspace WireGuard (tun)",
			"set wg1 mtu 1400",
			"add address 169.254.21.2/30 to wg1, without a route",
			"clamp MSS through wg1 to 1350",
			"set wg1 up",
		}, w.ofTunnel())
		s := w.opened()[0]
		w.want("place", overlay.Place{Userspace: true, Members: []overlay.Member{{N: 0, Interface: "wg1", Index: w.machine.o.Links["wg1"].Index}}}, s.Place)
		w.want("PSKs", []string{"b not yet", "a active"}, s.Told().PSKs)
		if got := w.tunnel("hub1"); got.State != status.Down || got.Passing != status.PassingNone || got.Problem != "it is starting" || got.DataplaneReason != "auto: the kernel has no WireGuard (this test has none)" {
			t.Errorf("before it is known: %+v", got)
		}

		s.SetLive(0)
		if got := w.tunnel("hub1"); got.State != status.Unsecured || got.Passing != status.PassingNone || got.Problem != "its routes are not there yet" {
			t.Errorf("before it is routed: %+v", got)
		}
		w.settle()
		w.want("live", []string{"route " + byWG1, "route " + innerByWG1}, w.ofTunnel())
		if got := w.tunnel("hub1"); got.State != status.Secured || got.Passing != status.PassingProtected || !got.Members[0].Live || got.Protect[0] != "10.20.0.0/16" {
			t.Errorf("live: %+v", got)
		}
		s.SetLive()
		w.settle()
		w.want("dead", []string{"remove route " + byWG1, "remove route " + innerByWG1}, w.ofTunnel())
		w.logged("state=unsecured")

		time.Sleep(time.Hour)
		w.settle()
		w.want("PSKs, an hour later", "b", s.Told().Preferred)
		s.SetLive(0)
		w.settle()
		w.stop()
		if told := s.Told(); !told.Closed || told.Removed {
			t.Errorf("at the end: %+v", told)
		}
		w.want("routes stay", []string{byWG1, innerByWG1, throws, unreachable, inner}, w.machine.routes())
		if f := w.machine.o.Filters["eth2"]; f.Underlay == nil {
			t.Error("the enforcement does not stay")
		}
	})
}

// What lives is adopted: a Session that knows nothing yet costs no route, for a
// while.
func TestTunnelAdopts(t *testing.T) {
	runTunnel(t, hub(""), func(w *world) {
		w.opened()[0].SetLive(0)
		w.settle()
		w.machine.taken()
		// Another configuration ends the session; the interface stays.
		w.reload(portLine("a", "eth1", "") + strings.Replace(hub(""), "keychain: k2", "keychain: k2, private_key: /other", 1))
		all := w.opened()
		if len(all) != 2 || !all[0].Told().Closed || all[0].Told().Removed {
			t.Fatalf("%d sessions, the first %+v", len(all), all[0].Told())
		}
		w.want("no step", []string(nil), w.ofTunnel())
		w.want("routes", []string{byWG1, innerByWG1, throws, unreachable, inner}, w.machine.routes())
		time.Sleep(unknownFor + resync)
		w.settle()
		w.want("for long it is not known", []string{"remove route " + byWG1, "remove route " + innerByWG1}, w.ofTunnel())
		if got := w.tunnel("hub1"); got.State != status.Down {
			t.Errorf("%+v", got)
		}
	})
}

func TestTunnelConfigure(t *testing.T) {
	runTunnel(t, hub(""), func(w *world) {
		w.opened()[0].SetLive(0)
		w.settle()
		w.machine.taken()
		w.reload(portLine("a", "eth1", "") + strings.Replace(hub(", mtu: 1380"), "[10.20.0.0/16]", "[10.20.0.0/16, 10.21.0.0/16]", 1))
		w.want("steps", []string{
			"filter eth2: nothing from or to 10.20.0.0/16, 10.21.0.0/16 may pass but tunnels",
			"fence: nothing to 10.20.0.0/16, 10.21.0.0/16 leaves by an interface other than eth2, wg1",
			"route unreachable 10.21.0.0/16", "set wg1 mtu 1380", "clamp MSS through wg1 to 1330", "route 10.21.0.0/16 by wg1",
		}, w.ofTunnel())
		all := w.opened()
		if told := all[0].Told(); len(all) != 1 || len(told.Configured) != 1 || told.Configured[0].MTU != 1380 || told.Closed {
			t.Errorf("%d sessions; %+v", len(all), told)
		}
	})
}

// A tunnel that leaves the configuration goes in order, and so does a should.
func TestTunnelLeaves(t *testing.T) {
	for _, c := range []struct {
		extra string
		want  []string
	}{
		{"", []string{"remove route " + byWG1, "remove route " + innerByWG1, "delete wg1 (tunnel hub1 is not in the configuration)",
			"remove route " + inner + " (no tunnel wants it)", "remove route " + unreachable + " (no tunnel wants it)", "remove route " + throws + " (no tunnel wants it)",
			"remove ipv4 rule 5210 (no tunnel is routed)", "remove ipv6 rule 5210 (no tunnel is routed)", "clamp MSS through wg1 no more",
			"remove the fence (no tunnel protects anything)", "remove the filter from eth2 (no must-secure tunnel is on it)"}},
		{", secure: should", []string{"remove route " + byWG1, "remove route " + innerByWG1, "delete wg1 (tunnel hub1 is not in the configuration)",
			"remove route " + throws + " (no tunnel wants it)",
			"remove ipv4 rule 5210 (no tunnel is routed)", "remove ipv6 rule 5210 (no tunnel is routed)", "clamp MSS through wg1 no more"}},
	} {
		runTunnel(t, hub(c.extra), func(w *world) {
			s := w.opened()[0]
			s.SetLive(0)
			w.settle()
			w.machine.taken()
			w.reload(portLine("a", "eth1", ""))
			w.want("steps"+c.extra, c.want, w.ofTunnel())
			if !s.Told().Removed {
				t.Errorf("%+v", s.Told())
			}
		})
	}
}

// A should has routes while it is live, and at no other time.
func TestTunnelShould(t *testing.T) {
	runTunnel(t, hub(", secure: should"), func(w *world) {
		w.want("at first", []string(nil), w.machine.routes())
		if got := w.tunnel("hub1"); got.Passing != status.PassingClear {
			t.Errorf("%+v", got)
		}
		s := w.opened()[0]
		s.SetLive(0)
		w.settle()
		w.want("live", []string{byWG1, innerByWG1, throws}, w.machine.routes())
		s.SetLive()
		w.settle()
		w.want("dead", []string(nil), w.machine.routes())
		s.SetLive(0)
		w.settle()
		w.stop()
		w.want("stopped", []string(nil), w.machine.routes())
		if _, there := w.machine.o.Filters["eth2"]; there {
			t.Error("what need not be secure is enforced")
		}
	})
}

func TestTunnelMembers(t *testing.T) {
	runTunnel(t, hub(", count: 4"), func(w *world) {
		s := w.opened()[0]
		s.SetLive(0, 1, 2, 3)
		w.settle()
		w.want("four", []string{"10.20.0.0/16 by wg1, wg1-1, wg1-2, wg1-3", "169.254.21.0/30 by wg1, wg1-1, wg1-2, wg1-3",
			throws, unreachable, "unreachable 169.254.21.0/30"}, w.machine.routes())
		if !w.machine.o.HashPorts[plan.IPv4] || w.machine.o.HashPorts[plan.IPv6] {
			t.Errorf("by ports: %v", w.machine.o.HashPorts)
		}
		s.SetLive(0, 1, 3)
		w.settle()
		w.want("three", "10.20.0.0/16 by wg1, wg1-1, wg1-3", w.machine.routes()[0])
		w.machine.taken()
		// Fewer: what goes carries nothing when it goes.
		w.reload(portLine("a", "eth1", "") + hub(", count: 2"))
		steps := w.ofTunnel()
		w.want("the first steps of fewer", []string{
			"filter eth2: nothing from or to 10.20.0.0/16 may pass but tunnels",
			"fence: nothing to 10.20.0.0/16 leaves by an interface other than eth2, wg1, wg1-1",
			"route 10.20.0.0/16 by wg1, wg1-1", "route 169.254.21.0/30 by wg1, wg1-1",
			"delete wg1-2 (tunnel hub1 has no member 2)", "delete wg1-3 (tunnel hub1 has no member 3)",
			"clamp MSS through wg1-2 no more", "clamp MSS through wg1-3 no more",
		}, steps)
		w.want("members", 2, len(w.opened()[1].Place.Members))
	})
}

// A tunnel whose enforcement fails has no interface; what closes is done.
func TestTunnelFails(t *testing.T) {
	m := newMachine("eth1", "eth2")
	m.can.NoWireGuard = "this test has none"
	m.refuse[plan.SetUnderlay] = errors.New("no BPF")
	runWith(t, m, portLine("a", "eth1", "")+hub(""), func(w *world) {
		w.sources["k2"].load = psks(time.Now(), "a")
	}, func(w *world) {
		w.want("routes", []string{unreachable, inner}, w.machine.routes())
		if _, there := w.machine.o.Links["wg1"]; there || len(w.opened()) != 0 {
			t.Error("it is built without enforcement")
		}
		if got := w.tunnel("hub1"); !strings.Contains(got.Problem, "no BPF") || got.State != status.Down {
			t.Errorf("%+v", got)
		}
		w.want("the port", []string{"a"}, w.open())
		w.machine.change(func() { delete(w.machine.refuse, plan.SetUnderlay) })
		time.Sleep(lastRetry)
		w.settle()
		w.want("sessions", 1, len(w.opened()))
	})
}

// The interface is gone: its session ends, and another gets the next.
func TestTunnelUnplugged(t *testing.T) {
	runTunnel(t, hub(""), func(w *world) {
		w.opened()[0].SetLive(0)
		w.settle()
		w.machine.change(func() { delete(w.machine.o.Links, "wg1"); w.machine.unroute("wg1") })
		w.settle()
		all := w.opened()
		if len(all) != 2 || !all[0].Told().Closed || all[0].Place.Members[0].Index == all[1].Place.Members[0].Index {
			t.Fatalf("%d sessions", len(all))
		}
		w.want("routes", []string{throws, unreachable, inner}, w.machine.routes())
	})
}

// Tunnels on one device share its filter: each has the counters of its own flows.
func TestFlowsOf(t *testing.T) {
	u := underlay{flows: map[ends][]status.Flow{}}
	for _, f := range [][3]string{{"10.0.0.4:51820", "any", "wireguard"}, {"10.0.0.4:51821", "10.0.0.5:51821", "wireguard"}, {"10.0.0.4:51822", "any", "wireguard"},
		{"10.0.0.4:0", "10.0.0.6:0", "esp"}, {"10.0.0.4:0", "10.0.0.7:0", "esp"}, {"10.0.0.4:4500", "10.0.0.6:4500", "ike"}} {
		u.add(status.Flow{Protocol: f[2], Local: f[0], Remote: f[1]})
	}
	names := func(c *config.Tunnel) (all []string) {
		for _, f := range u.of(c) {
			all = append(all, f.Protocol+" "+f.Local+" "+f.Remote)
		}
		return all
	}
	local := netip.MustParseAddr("10.0.0.4")
	for want, c := range map[string]*config.Tunnel{
		"wireguard 10.0.0.4:51820 any, wireguard 10.0.0.4:51821 10.0.0.5:51821": {Local: local, Count: 1, WireGuard: &config.WireGuard{Port: 51820, Keychain: "k"}},
		"wireguard 10.0.0.4:51822 any":                                          {Local: local, Count: 1, WireGuard: &config.WireGuard{Port: 51822}},
		"esp 10.0.0.4:0 10.0.0.6:0, ike 10.0.0.4:4500 10.0.0.6:4500":            {Local: local, Remote: netip.MustParseAddr("10.0.0.6"), IPsec: &config.IPsec{}},
		"": {Local: netip.MustParseAddr("10.0.0.9"), Count: 1, WireGuard: &config.WireGuard{Port: 51820}},
	} {
		if got := strings.Join(names(c), ", "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestClearRoute(t *testing.T) {
	runTunnel(t, hub(""), func(w *world) {
		other := []plan.OtherRoute{{Table: 254, Prefix: w.r.cfg.Tunnels[0].Protect[0], Devices: []string{"eth1"}}}
		w.machine.change(func() { w.machine.o.Elsewhere = &plan.Elsewhere{Routes: other} })
		w.settle()
		want := []string{"10.20.0.0/16 of protected 10.20.0.0/16 by eth1: a second way to there; what the other end sends may come in clear",
			"10.20.0.5 is routed by eth1, not by device eth2: its filter is on eth2 alone"}
		w.want("alarm", want, w.tunnel("hub1").ClearRoutes)
		w.logged("what a tunnel protects has another way")
		w.machine.change(func() { w.machine.o.Elsewhere = &plan.Elsewhere{} })
		w.settle()
		w.want("gone", []string{}, w.tunnel("hub1").ClearRoutes)
	})
}

// A peer's outer address is authenticated by nothing: it makes no way around what
// is protected.
func TestTunnelRoams(t *testing.T) {
	runTunnel(t, hub(""), func(w *world) {
		s := w.opened()[0]
		heard := func(from string) {
			v := overlay.View{State: overlay.Secured, Members: []overlay.MemberView{{Interface: "wg1", Live: true, Remote: netip.MustParseAddrPort(from)}}}
			s.Set(v)
			w.settle()
		}
		heard("192.0.2.7:51820")
		w.want("from elsewhere", true, slices.Contains(w.machine.routes(), "throw 192.0.2.7/32"))
		w.want("nothing to tell", "", w.tunnel("hub1").Members[0].Problem)
		heard("169.254.21.1:51820")
		w.want("from inside", []string{byWG1, innerByWG1, throws, unreachable, inner}, w.machine.routes())
		heard("10.20.0.9:51820")
		w.want("from what is protected", []string{byWG1, innerByWG1, throws, unreachable, inner}, w.machine.routes())
		if got := w.tunnel("hub1").Members[0].Problem; !strings.Contains(got, "10.20.0.9, which tunnel hub1 protects") {
			t.Errorf("problem: %q", got)
		}
	})
}

// The limits that check goes by are the filter's.
func TestRoomOfFilter(t *testing.T) {
	if config.MaxFlows != bpf.MaxFlowIDs || config.MaxPrefixes != bpf.MaxPrefixes {
		t.Errorf("check has %d flows and %d prefixes; the filter %d and %d", config.MaxFlows, config.MaxPrefixes, bpf.MaxFlowIDs, bpf.MaxPrefixes)
	}
}
