package tunnels

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/linux/route"
	"github.com/linkseal/linkseal/tests/lab"
)

// outside is an interface of west that is no tunnel's and has no filter: what it
// sends comes out at outsideEnd. gateway is a neighbour there that takes all.
const (
	outside, outsideEnd = "out0", "out1"
	outsideNet          = "203.0.113.1/24"
	gateway             = "203.0.113.9"
)

// elsewhere gives west that interface, with a default route by it, and counts the
// IPv4 packets to or from a site that leave by it.
func elsewhere(t *testing.T, p *pair) *atomic.Uint64 {
	t.Helper()
	for _, line := range []string{
		"link add name " + outside + " type veth peer name " + outsideEnd, "link set " + outsideEnd + " up", "link set " + outside + " up",
		"addr add " + outsideNet + " dev " + outside, "neigh add " + gateway + " lladdr 02:00:00:00:00:09 dev " + outside,
		"route add default via " + gateway,
	} {
		ip(t, p.west, line)
	}
	n := &atomic.Uint64{}
	tap, err := lab.Listen(p.west, outsideEnd, func(f lab.Frame) {
		o := f.Octets
		if f.Outgoing || len(o) < 34 || binary.BigEndian.Uint16(o[12:]) != 0x0800 {
			return
		}
		if to := netip.AddrFrom4([4]byte(o[30:34])); to == p.east.Site(0) {
			n.Add(1)
		}
	})
	check(t, err)
	t.Cleanup(func() { tap.Close() })
	return n
}

// Around has what is protected led to another interface of the machine, by every
// kind of route that may do so, and by the loss of linkseal's rule, routes and
// fence: none of it leaves there, each way is told of, and what was taken away is
// put back.
func (s Suite) Around(t *testing.T) {
	p := s.pair(t, lab.Options{}, lab.Tunnel{})
	p.start(t)
	left := elsewhere(t, p)
	site, other := p.west.Site(0), p.east.Site(0)
	x := datagrams(t, p.west, site, other, asRouted)
	more := func(what string) {
		t.Helper()
		n := x.tried.Load()
		p.eventually(t, "more datagrams, "+what, func() bool { return x.tried.Load() >= n+50 })
		if n := left.Load(); n > 0 {
			t.Fatalf("%s: %d packets of what is protected have left by %s", what, n, outside)
		}
		p.none(t, what)
	}
	more("a default route")

	in := " via " + gateway + " dev " + outside
	network := func(bits int) string { return netip.PrefixFrom(other, bits).Masked().String() }
	near := netip.PrefixFrom(other.Next(), 26).String()
	ip(t, p.west, "route add default"+in+" table 777")
	ways := []struct{ what, set, unset, told string }{
		{"the same prefix in main", "route add " + network(24) + in, "route del " + network(24), network(24) + " of protected"},
		{"a more specific one", "route add " + network(32) + in, "route del " + network(32), network(32) + " of protected"},
		{"one learned by BGP", "route add " + network(25) + in + " proto bgp metric 20", "route del " + network(25) + " metric 20", network(25) + " of protected"},
		{"a connected network", "addr add " + near + " dev " + outside, "addr del " + near + " dev " + outside, network(26) + " of protected"},
		{"another table, looked up first", "rule add pref 99 lookup 777", "rule del pref 99", "rule 99 has table 777"},
		{"main, looked up first", "rule add pref 98 lookup main", "rule del pref 98", "rule 98 has table 254"},
		{"past linkseal's", "rule add pref 97 goto 32766", "rule del pref 97", "rule 97 goes on at rule 32766 and leaves out linkseal's"},
	}
	for _, way := range ways {
		ip(t, p.west, way.set)
		more(way.what)
	}
	// It is looked for every few seconds: to ask all the time costs more than the rest.
	ask := time.NewTicker(200 * time.Millisecond)
	defer ask.Stop()
	told := func() string { <-ask.C; return strings.Join(p.tunnel(t, p.west).ClearRoutes, "\n") }
	for _, way := range ways {
		p.eventually(t, "an alarm of "+way.what, func() bool { return strings.Contains(told(), way.told) })
		if log := p.west.Log(); !strings.Contains(log, way.told) {
			t.Errorf("%s is not in the log", way.what)
		}
	}
	more("all ways")
	for _, way := range ways {
		ip(t, p.west, way.unset)
	}
	p.eventually(t, "the end of all alarms", func() bool { return told() == "" })

	fenced := p.tunnel(t, p.west).Fenced
	if fenced == nil || fenced.Packets == 0 {
		t.Errorf("nothing was fenced in: %+v", fenced)
	}
	p.taken(t, more)
	// The rule is back so soon that a sender without a processor tries nothing meanwhile.
	after, routes := p.tunnel(t, p.west).Fenced, p.routes(t)
	for n := 0; n < 20 && after.Packets == 0; n++ {
		ip(t, p.west, fmt.Sprintf("rule del pref %d", plan.RulePriority))
		p.eventually(t, "the rule to be back", func() bool { return ruled(t, routes) })
		more("without the rule")
		after = p.tunnel(t, p.west).Fenced
	}
	if after.Packets == 0 {
		t.Errorf("without the rule nothing was fenced in: %+v", after)
	}
	p.secured(t)
	before := x.sent.Load()
	p.eventually(t, "datagrams in the tunnel again", func() bool { return x.sent.Load() > before+20 })
	s.figure("of %d datagrams of what is protected, %d that routes led to another interface, 0 have left there", x.sent.Load(), fenced.Packets)
}

// taken takes linkseal's rule, routes and fence away, over and over, and demands
// that each is put back.
func (p *pair) taken(t *testing.T, more func(string)) {
	t.Helper()
	routes := p.routes(t)
	ruled := func() bool { return ruled(t, routes) }
	routed := func() bool {
		all, err := routes.List(route.IPv4, plan.RouteTable)
		check(t, err)
		return len(all) >= 3 // into the tunnel, behind that, and of its own packets
	}
	// A fence that is new counts from 0.
	fenced := func() bool { return p.tunnel(t, p.west).Fenced != nil }
	for _, c := range []struct {
		what string
		cut  func()
		back func() bool
	}{
		{"the rule", func() { ip(t, p.west, fmt.Sprintf("rule del pref %d", plan.RulePriority)) }, ruled},
		{"the table", func() { ip(t, p.west, fmt.Sprintf("route flush table %d", plan.RouteTable)) }, routed},
		{"the fence", func() { nft(t, p.west, "flush ruleset") }, fenced},
		{"the rule, again", func() { ip(t, p.west, fmt.Sprintf("rule del pref %d", plan.RulePriority)) }, ruled},
	} {
		var longest time.Duration
		for range times(p.Suite, 50, 2) {
			start := time.Now()
			c.cut()
			p.eventually(t, c.what+" to be back", c.back)
			longest = max(longest, time.Since(start))
			more("without " + c.what)
		}
		p.figure("%s, taken away, is back after %v at most", c.what, longest.Round(time.Millisecond))
		if longest > busy {
			t.Errorf("%s is back after %v; %v are allowed", c.what, longest, busy)
		}
	}
}

// routes is a handle of west's.
func (p *pair) routes(t *testing.T) (h *route.Handle) {
	t.Helper()
	check(t, p.west.NS.Do(func() (err error) { h, err = route.Open(); return err }))
	t.Cleanup(func() { h.Close() })
	return h
}

// ruled tells whether linkseal's rule is there.
func ruled(t *testing.T, h *route.Handle) bool {
	t.Helper()
	rules, err := h.Rules(route.IPv4)
	check(t, err)
	return slices.ContainsFunc(rules, func(r route.Rule) bool { return r.Priority == plan.RulePriority })
}

// tunnel is the first one of an appliance, as its status tells.
func (p *pair) tunnel(t *testing.T, a *lab.Appliance) status.Tunnel {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), p.Patience)
	defer cancel()
	all, err := lab.WaitTunnels(ctx, a.Name+"'s word", func(status.Tunnel) bool { return true }, a)
	check(t, err)
	return all[0][0]
}

// nft runs nft(8) at an appliance.
func nft(t *testing.T, a *lab.Appliance, args string) {
	t.Helper()
	if out, err := a.NS.Command("nft", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("nft %s at %s: %v: %s", args, a.Name, err, out)
	}
}
