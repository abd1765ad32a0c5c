package reconcile

import (
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func desiredTun(count int) plan.Tunnel {
	t := plan.Tunnel{Name: "hub1", Device: "eth1", Must: true, Link: plan.TUN, Known: true, MTU: 1400, MSS: 1350,
		Protect:   []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("2001:db8:20::/48")},
		Addresses: []netip.Prefix{netip.MustParsePrefix("169.254.21.2/30"), netip.MustParsePrefix("fd00:21::2/64")},
		Remotes:   []netip.Addr{netip.MustParseAddr("10.20.0.5")},
		Flows: []plan.Flow{
			{Protocol: plan.WireGuard, Local: netip.MustParseAddr("10.0.0.4"), LocalPort: 51820, Roams: true},
			{Protocol: plan.WireGuard, Local: netip.MustParseAddr("10.0.0.4"), LocalPort: 51820, Remote: netip.MustParseAddr("10.20.0.5"), RemotePort: 51820}}}
	for n := range count {
		m := plan.Member{N: n, Interface: fmt.Sprintf("wg%d", n)}
		t.Members, t.Live = append(t.Members, m), append(t.Live, m.Interface)
	}
	return t
}

// tunnelVariants change a tunnel; each is also a way that one that runs is
// changed.
var tunnelVariants = []struct {
	name   string
	change func(*plan.Tunnel)
}{
	{"as it comes", func(*plan.Tunnel) {}},
	{"none is live", func(t *plan.Tunnel) { t.Live = nil }},
	{"not known", func(t *plan.Tunnel) { t.Known = false }},
	{"a probe", func(t *plan.Tunnel) { t.Probe = netip.MustParseAddr("169.254.21.1") }},
	{"four, a probe, none is live", func(t *plan.Tunnel) { *t = desiredTun(4); t.Live, t.Probe = nil, netip.MustParseAddr("fd00:21::1") }},
	{"four", func(t *plan.Tunnel) { *t = desiredTun(4) }},
	{"four, one is dead", func(t *plan.Tunnel) { *t = desiredTun(4); t.Live = t.Live[1:] }},
	{"should", func(t *plan.Tunnel) { t.Must = false }},
	{"should, and dead", func(t *plan.Tunnel) { t.Must, t.Live = false, nil }},
	{"another prefix", func(t *plan.Tunnel) { t.Protect[0] = netip.MustParsePrefix("10.21.0.0/16") }},
	{"everything", func(t *plan.Tunnel) { t.Protect = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} }},
	{"IPsec's flows", func(t *plan.Tunnel) {
		t.Flows = []plan.Flow{{Protocol: plan.XFRM, Local: netip.MustParseAddr("10.0.0.4"), Remote: netip.MustParseAddr("10.20.0.5"), SPIIn: []uint32{7}, SPIOut: []uint32{8, 9}}}
	}},
	{"no MSS, mtu", func(t *plan.Tunnel) { t.MSS, t.MTU = 0, 1380 }},
	{"another interface", func(t *plan.Tunnel) { t.Members[0].Interface = "hub"; t.Live[0] = "hub" }},
	{"addresses not ours", func(t *plan.Tunnel) { t.Addresses = nil }},
	{"transport", func(t *plan.Tunnel) {
		t.Transport, t.Link, t.Members, t.Live, t.Addresses, t.MSS = true, plan.NoLink, nil, nil, nil, 0
	}},
}

var tunnelNeeds = append(slices.Clone(needs), probe.Tap)

// On this machine too: a plan that was applied leaves nothing to do, from one way
// that a tunnel may be to another.
func TestApplyTunnelThenPlanIsEmpty(t *testing.T) {
	probetest.Need(t, tunnelNeeds...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		up(t, "eth1")
		before := shown(t)
		last := "nothing"
		change := func(name string, change func(*plan.Tunnel)) {
			defer func() {
				if t.Failed() {
					t.Logf("from %s to %s", last, name)
				}
				last = name
			}()
			g := desiredTun(1)
			change(&g)
			applyAll(t, k, plan.Desired{Tunnels: []plan.Tunnel{g}}, nil)
		}
		for i, v := range tunnelVariants {
			// Some from the plain one, and some from others.
			change(v.name, v.change)
			if i%3 == 0 {
				change(tunnelVariants[0].name, tunnelVariants[0].change)
			}
		}
		applyAll(t, k, plan.Desired{}, nil)
		if d := cmp.Diff(before, shown(t)); d != "" {
			t.Errorf("what is left (-want +got):\n%s", d)
		}
	})
}

func up(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if out, err := exec.Command("ip", "link", "set", "dev", name, "up").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// shown is what tools say of the thread's namespace: links, rules, routes of
// linkseal's table, nftables, filters.
func shown(t *testing.T) string {
	t.Helper()
	all := ""
	for _, line := range []string{"ip -br link", "ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table 19539", "nft list ruleset", "ip link show eth1"} {
		args := strings.Fields(line)
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil && strings.Contains(string(out), "FIB table does not exist") {
			out, err = nil, nil // nobody has used it yet
		}
		if err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
		all += line + "\n" + string(out)
	}
	return carrier.Replace(all)
}

// carrier takes out what the kernel says of a device's carrier, in its own time.
var carrier = strings.NewReplacer("UNKNOWN        ", "UNKNOWN ", "LOWERLAYERDOWN", "UNKNOWN", "NO-CARRIER,", "")

// What is as ip(8) and nft(8) show it: the routes of a tunnel with two members.
func TestTunnelAsShown(t *testing.T) {
	probetest.Need(t, tunnelNeeds...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		up(t, "eth1")
		applyAll(t, k, plan.Desired{Tunnels: []plan.Tunnel{desiredTun(2)}}, nil)
		text := shown(t)
		for _, want := range []string{
			"5210:\tfrom all lookup 19539",
			"unreachable 10.20.0.0/16 table 19539 proto static metric 4294967295",
			"throw 10.20.0.5 table 19539 proto static metric 1",
			"10.20.0.0/16 table 19539 proto static scope link metric 100",
			"unreachable 2001:db8:20::/48 dev lo proto static metric 4294967295",
			"nexthop dev wg0", "nexthop dev wg1", "nexthop via fe80::1 dev wg0",
			`"wg0" : 1350`, "prog/xdp",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q", want)
			}
		}
		if t.Failed() {
			t.Log(text)
		}
		l, err := k.links.ByName("wg1")
		if err != nil || l.Alias != "linkseal:hub1.1" || l.MTU != 1400 || !l.Up {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

// Rules without a table of their own lead past a tunnel too: one that goes on
// behind linkseal's, and that of VRFs, where the kernel has them.
func TestRulesWithoutTable(t *testing.T) {
	probetest.Need(t, tunnelNeeds...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		up(t, "eth1", "lo")
		d := plan.Desired{Tunnels: []plan.Tunnel{desiredTun(1)}}
		applyAll(t, k, d, nil)
		told := func() (all []string) {
			k.elsewhere = time.Time{} // now
			o := observe(t, k, d)
			for _, c := range plan.ClearRoutes(d, *o.Elsewhere, o.Fence) {
				all = append(all, c.String())
			}
			return all
		}
		run := func(line string) error {
			args := strings.Fields(line)
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", line, err, out)
			}
			return nil
		}
		must := func(line string) {
			t.Helper()
			if err := run(line); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff([]string(nil), told()); d != "" {
			t.Error(d)
		}
		const held = "; the fence holds it back: it is dropped, and not sent in clear"
		want := []string{"protected 10.20.0.0/16: rule 80 goes on at rule 32766 and leaves out linkseal's, 5210" + held}
		must("ip rule add pref 80 from all goto 32766")
		must("ip rule add pref 81 from all goto 5210")
		must("ip rule add pref 82 blackhole from 192.0.2.0/24")
		if run("ip link add vrf1 type vrf table 78") == nil { // which makes rule 1000
			want = append(want, "10.0.0.0/8 of protected 10.20.0.0/16 by eth1: rule 1000 (l3mdev) has table 78, of a VRF, looked up before linkseal's"+held)
			must("ip route add 10.0.0.0/8 dev eth1 table 78")
		} else if probetest.InGuest() {
			t.Error("no VRF")
		}
		if d := cmp.Diff(want, told()); d != "" {
			t.Error(d)
		}
	})
}

// A tunnel on the interface of a port, which is counted and tagged too: here the
// tap of a SecY in user space. What is between the two is enforced before the
// interface is up, on one that is made anew too.
func TestTunnelOnPort(t *testing.T) {
	probetest.Need(t, tunnelNeeds...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		p, g := desiredPort(), desiredTun(1)
		p.Dataplane, p.Tags = plan.Userspace, &plan.Tags{Rules: []plan.TagRule{{Name: "voice", Direction: "both", DSCP: 46, Protocol: -1, Priority: -1, SetDSCP: -1}}}
		g.Device, g.MSS = p.Interface, 0
		d := plan.Desired{Ports: []plan.Port{p}, Tunnels: []plan.Tunnel{g}}
		order := func(want ...string) func(plan.Step) {
			return func(s plan.Step) {
				if len(want) > 0 && strings.HasPrefix(s.String(), want[0]) {
					want = want[1:]
				}
				if s.Kind == plan.SetUp && s.Link == p.Interface && len(want) > 0 {
					t.Errorf("%s is up before %q", p.Interface, want)
				}
			}
		}
		applyAll(t, k, d, order("filter eth1", "create macsec1", "tag macsec1", "filter macsec1"))
		l, err := k.links.ByName(p.Interface)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.links.Delete(l.Index); err != nil {
			t.Fatal(err)
		}
		applyAll(t, k, d, order("create macsec1", "tag macsec1", "filter macsec1"))
		d.Ports[0].Tags = &plan.Tags{Rules: []plan.TagRule{}}
		applyAll(t, k, d, nil)
		d.Tunnels[0].Protect = d.Tunnels[0].Protect[:1]
		applyAll(t, k, d, nil)
		d.Tunnels = nil
		applyAll(t, k, d, nil)
		if o := observe(t, k, d); len(o.Filters) != 1 {
			t.Errorf("%+v", o.Filters)
		}
	})
}

// The kernel's kinds of interface: made, kept, changed for another and taken away.
func TestTunnelKinds(t *testing.T) {
	probetest.Need(t, append(tunnelNeeds, probe.WireGuard, probe.XFRMI)...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		up(t, "eth1")
		for _, kind := range []plan.LinkKind{plan.WireGuard, plan.XFRM, plan.TUN, plan.XFRM} {
			g := desiredTun(2)
			g.Link = kind
			for i := range g.Members {
				if kind == plan.XFRM {
					g.Members[i].IfID = uint32(i + 7)
				}
			}
			applyAll(t, k, plan.Desired{Tunnels: []plan.Tunnel{g}}, nil)
			if l := observe(t, k, plan.Desired{}).Links["wg1"]; l.Kind != kind || l.IfID != g.Members[1].IfID || l.Alias != "linkseal:hub1.1" {
				t.Errorf("%s: %+v", kind, l)
			}
		}
		applyAll(t, k, plan.Desired{}, nil)
	})
}
