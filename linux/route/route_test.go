package route

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/linux/tap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const table = 19539

// namespace has the tuns tun0 and tun1, up.
func namespace(t *testing.T) (ns *netns.NS, h *Handle, tuns [2]int) {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.Tap)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := ns.Do(func() (err error) {
		if h, err = Open(); err != nil {
			return err
		}
		links, err := link.Open()
		if err != nil {
			return err
		}
		defer links.Close()
		for i, name := range []string{"tun0", "tun1"} {
			if err := tap.CreateTun(name); err != nil {
				return err
			}
			l, err := links.ByName(name)
			if err != nil {
				return err
			}
			if tuns[i] = l.Index; l.Kind != "tun" || l.Tap {
				t.Errorf("%+v", l)
			}
			if err := links.SetUp(l.Index); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return ns, h, tuns
}

func (h *Handle) all(t *testing.T) (all []Route) {
	t.Helper()
	for _, f := range []Family{IPv4, IPv6} {
		some, err := h.List(f, table)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range some {
			for i := range r.Nexthops {
				r.Nexthops[i].Gateway = netip.Addr{}
			}
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Route) int {
		if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
			return c
		}
		return int(int64(a.Metric) - int64(b.Metric))
	})
	return all
}

func TestRoutes(t *testing.T) {
	ns, h, tuns := namespace(t)
	four, six := netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("2001:db8::/32")
	one := []Nexthop{{Index: tuns[0]}}
	both := []Nexthop{{Index: tuns[0]}, {Index: tuns[1]}}
	if got := h.all(t); got != nil {
		t.Errorf("of a table that has had no route: %v", got)
	}
	want := []Route{
		{Table: table, Prefix: netip.MustParsePrefix("0.0.0.0/0"), Type: Unreachable, Metric: 1<<32 - 1},
		{Table: table, Prefix: four, Type: Unicast, Metric: 100, Nexthops: one},
		{Table: table, Prefix: four, Type: Unreachable, Metric: 1<<32 - 1},
		{Table: table, Prefix: netip.MustParsePrefix("10.20.0.5/32"), Type: Throw, Metric: 1},
		{Table: table, Prefix: six, Type: Unicast, Metric: 100, Nexthops: one},
		{Table: table, Prefix: six, Type: Unreachable, Metric: 1<<32 - 1},
		{Table: table, Prefix: netip.MustParsePrefix("2001:db8::5/128"), Type: Throw, Metric: 1},
	}
	for range 2 { // again is no error, and makes no second one
		for _, r := range want {
			if err := h.Replace(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d := cmp.Diff(want, h.all(t), sameAddress); d != "" {
		t.Errorf("set (-want +got):\n%s", d)
	}
	for _, hops := range [][]Nexthop{both, {both[1]}, both, one, both} {
		for _, i := range []int{1, 4} {
			want[i].Nexthops = hops
			if err := h.Replace(want[i]); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(want, h.all(t), sameAddress); d != "" {
			t.Errorf("by %v (-want +got):\n%s", hops, d)
		}
	}
	down(t, ns, "tun0")
	for _, r := range h.all(t) {
		if len(r.Nexthops) > 0 && (len(r.Nexthops) != 2 || !r.Nexthops[0].Dead || r.Nexthops[1].Dead) {
			t.Errorf("with tun0 down: %+v", r)
		}
	}
	down(t, ns, "tun1")
	want = slices.DeleteFunc(want, func(r Route) bool { return r.Type == Unicast })
	if d := cmp.Diff(want, h.all(t), sameAddress); d != "" {
		t.Errorf("with both down (-want +got):\n%s", d)
	}
	for _, r := range append(slices.Clone(want), want...) {
		if err := h.Delete(r); err != nil {
			t.Error(err)
		}
	}
	if got := h.all(t); got != nil {
		t.Errorf("deleted: %v", got)
	}
}

func down(t *testing.T, ns *netns.NS, name string) {
	t.Helper()
	if out, err := ns.Command("ip", "link", "set", name, "down").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestRules(t *testing.T) {
	ns, h, _ := namespace(t)
	tokens, err := h.Watch(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []Family{IPv4, IPv6} {
		ours := Rule{Family: f, Priority: 5210, Table: table, All: true}
		has := func() bool {
			all, err := h.Rules(f)
			if err != nil {
				t.Fatal(err)
			}
			return slices.Contains(all, ours)
		}
		if has() {
			t.Errorf("%s: a rule before there is one", f)
		}
		for range 2 {
			if err := h.AddRule(f, 5210, table); err != nil {
				t.Fatal(err)
			}
		}
		if !has() {
			t.Errorf("%s: no rule", f)
		}
		<-tokens
		for range 2 {
			if err := h.DeleteRule(f, 5210, table); err != nil {
				t.Fatal(err)
			}
		}
		if has() {
			t.Errorf("%s: the rule is still there", f)
		}
		if policy, err := h.HashPolicy(f); err != nil || policy != "0" {
			t.Errorf("%s: policy %q, %v", f, policy, err)
		}
		if err := h.SetHashPolicy(f, ByPorts); err != nil {
			t.Fatal(err)
		}
		if policy, err := h.HashPolicy(f); err != nil || policy != ByPorts {
			t.Errorf("%s: policy %q, %v", f, policy, err)
		}
	}
	// What others make is read as what it is.
	for _, args := range [][]string{{"rule", "add", "pref", "100", "fwmark", "7", "lookup", "77"}, {"rule", "add", "pref", "101", "to", "10.0.0.0/8", "unreachable"},
		{"rule", "add", "pref", "102", "goto", "32766"}, {"rule", "add", "pref", "103", "goto", "32765"}} {
		if out, err := ns.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	all, err := h.Rules(IPv4)
	want := []Rule{{Family: IPv4, Priority: 0, Table: TableLocal, All: true}, {Family: IPv4, Priority: 100, Table: 77}, {Family: IPv4, Priority: 101},
		{Family: IPv4, Priority: 102, All: true, Goto: 32766}, {Family: IPv4, Priority: 103, All: true},
		{Family: IPv4, Priority: 32766, Table: TableMain, All: true}, {Family: IPv4, Priority: 32767, Table: TableDefault, All: true}}
	if d := cmp.Diff(want, all); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
}

// No packet goes another way while a route is replaced.
func TestReplaceAtOnce(t *testing.T) {
	ns, h, tuns := namespace(t)
	if out, err := ns.Command("ip", "link", "set", "dev", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out) // unreachable routes of IPv6 are by it
	}
	for _, p := range []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("2001:db8::/32")} {
		r := Route{Table: table, Prefix: p, Type: Unicast, Metric: 100, Nexthops: []Nexthop{{Index: tuns[0]}}}
		behind := Route{Table: table, Prefix: p, Type: Unreachable, Metric: 1<<32 - 1}
		for _, r := range []Route{behind, r} {
			if err := h.Replace(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.AddRule(FamilyOf(p.Addr()), 5210, table); err != nil {
			t.Fatal(err)
		}
		// The routes change for as long as it takes to send among the changes.
		missed, tried, err := sends(ns, p.Addr().Next().String(), func(tried *atomic.Int64) {
			for i := 0; i < 200 || tried.Load() < 100; i++ {
				r.Nexthops = []Nexthop{{Index: tuns[i%2]}}
				if i%3 == 0 {
					r.Nexthops = []Nexthop{{Index: tuns[0]}, {Index: tuns[1]}}
				}
				if err := h.Replace(r); err != nil {
					t.Error(err)
					return
				}
			}
		})
		if missed != 0 || tried < 100 {
			t.Errorf("%s: of %d datagrams %d had no way by a tun: %v", p, tried, missed, err)
		}
	}
}

// sends sends datagrams to an address while change runs, and counts those that had
// no way, and all that were tried.
func sends(ns *netns.NS, to string, change func(tried *atomic.Int64)) (missed, tried int64, err error) {
	var c net.PacketConn
	if err := ns.Do(func() (err error) { c, err = net.ListenPacket("udp", ":0"); return err }); err != nil {
		return 0, 0, err
	}
	defer c.Close()
	done := make(chan struct{})
	var count atomic.Int64
	go func() { defer close(done); change(&count) }()
	for {
		select {
		case <-done:
			return missed, count.Load(), err
		default:
		}
		_, e := c.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP(to), Port: 9})
		if e != nil && !errors.Is(e, unix.ENOBUFS) { // a tun that nobody reads drops it
			missed, err = missed+1, e
		}
		count.Add(1)
	}
}
