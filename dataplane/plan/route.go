package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Where the routes of tunnels are: a table of linkseal's own, and the priority
// of the rule that has it looked up, before main (32766).
const (
	RouteTable   = 19539
	RulePriority = 5210
)

// RouteType is a route's, in ip(8)'s words.
type RouteType string

// The types.
const (
	Unicast     RouteType = "unicast"
	Unreachable RouteType = "unreachable"
	// Throw ends the lookup in the table: other tables have the route.
	Throw RouteType = "throw"
)

// Metrics by type: less wins. The greatest that there is stands behind all.
const (
	throwMetric       = 1
	memberMetric      = 100
	probeMetric       = 200 // and the member's number: of its way to the probe's address
	unreachableMetric = 1<<32 - 1
)

// Route is a route of RouteTable.
type Route struct {
	Prefix   netip.Prefix
	Type     RouteType
	Metric   uint32
	Nexthops []string // interfaces, sorted; of Unicast alone
}

type routeKey struct {
	netip.Prefix
	RouteType
	metric uint32
}

func (r Route) key() routeKey { return routeKey{r.Prefix, r.Type, r.Metric} }

func (r Route) equal(o Route) bool {
	return r.key() == o.key() && slices.Equal(r.Nexthops, o.Nexthops)
}

// compare has throws before unreachable routes before those of members.
func (r Route) compare(o Route) int {
	rank := map[RouteType]int{Throw: 0, Unreachable: 1, Unicast: 2}
	if c := rank[r.Type] - rank[o.Type]; c != 0 {
		return c
	}
	if c := comparePrefix(r.Prefix, o.Prefix); c != 0 {
		return c
	}
	return int(int64(r.Metric) - int64(o.Metric))
}

func (r Route) String() string {
	switch {
	case r.Type != Unicast:
		return fmt.Sprintf("%s %s", r.Type, r.Prefix)
	case len(r.Nexthops) == 0:
		return fmt.Sprintf("%s by nothing", r.Prefix)
	}
	text := fmt.Sprintf("%s by %s", r.Prefix, strings.Join(r.Nexthops, ", "))
	if r.Metric != memberMetric {
		text += fmt.Sprintf(", metric %d", r.Metric)
	}
	return text
}

// MarshalJSON implements json.Marshaler.
func (r Route) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Prefix   netip.Prefix `json:"prefix"`
		Type     RouteType    `json:"type"`
		Metric   uint32       `json:"metric"`
		Nexthops []string     `json:"interfaces,omitempty"`
	}{r.Prefix, r.Type, r.Metric, r.Nexthops})
}

// Family is of an address.
type Family string

// The families.
const (
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
)

func familyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// families are those that the machine has.
func (o Observed) families() []Family {
	if o.NoIPv6 {
		return []Family{IPv4}
	}
	return []Family{IPv4, IPv6}
}

// routing is what routes are made of, and what of it is there.
type routing struct {
	wanted map[routeKey]Route
	tunnel map[routeKey]string // whose one is
	there  map[routeKey]Route  // as steps leave it
	routed bool                // any tunnel is routed
}

// route decides on the routes. A link that goes carries none.
func (b *builder) route(desired Desired, blocked map[string]bool) {
	b.routing = routing{wanted: map[routeKey]Route{}, tunnel: map[routeKey]string{}, there: map[routeKey]Route{}}
	for _, r := range b.Routes {
		b.there[r.key()] = r
	}
	for _, t := range desired.Tunnels {
		if t.Transport {
			continue
		}
		b.routed = true
		open := false
		for _, p := range t.routed() {
			b.tunnel[Route{Prefix: p, Type: Unicast, Metric: memberMetric}.key()] = t.Name
			b.tunnel[Route{Prefix: p, Type: Unreachable, Metric: unreachableMetric}.key()] = t.Name
			if nexthops := b.nexthops(t, p, blocked[t.Name]); len(nexthops) > 0 {
				b.want(t, Route{Prefix: p, Type: Unicast, Metric: memberMetric, Nexthops: nexthops})
				open = true
			}
			if t.Must {
				b.want(t, Route{Prefix: p, Type: Unreachable, Metric: unreachableMetric})
			}
		}
		b.probe(t, blocked[t.Name])
		if !t.Must && !open {
			continue
		}
		for _, a := range t.Remotes {
			b.want(t, Route{Prefix: netip.PrefixFrom(a, a.BitLen()), Type: Throw, Metric: throwMetric})
		}
	}
}

func (b *builder) want(t Tunnel, r Route) {
	if b.NoIPv6 && r.Prefix.Addr().Is6() {
		return
	}
	if _, twice := b.wanted[r.key()]; twice {
		return
	}
	b.wanted[r.key()], b.tunnel[r.key()] = r, t.Name
}

// routed are the prefixes that go into t: those that it protects, the networks of
// its addresses, and the probe's address, which has routes of its own.
func (t Tunnel) routed() []netip.Prefix {
	all := slices.Clone(t.Protect)
	add := func(p netip.Prefix) {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	for _, a := range t.Addresses {
		if n := a.Masked(); n.Bits() < n.Addr().BitLen() {
			add(n)
		}
	}
	if t.Probe.IsValid() {
		add(t.probed())
	}
	return all
}

func (t Tunnel) probed() netip.Prefix { return netip.PrefixFrom(t.Probe, t.Probe.BitLen()) }

// probe gives the probe's address a route by each member, behind that by those
// that are live: a socket that is bound to one finds it.
func (b *builder) probe(t Tunnel, blocked bool) {
	if !t.Probe.IsValid() {
		return
	}
	for _, m := range t.Members {
		link, there := b.Links[m.Interface]
		if there = there && !b.gone[m.Interface]; there && (!blocked || link.Up) || !there && !blocked && t.Link != NoLink {
			b.want(t, Route{Prefix: t.probed(), Type: Unicast, Metric: probeMetric + uint32(m.N), Nexthops: []string{m.Interface}})
		}
	}
}

// nexthops are the interfaces over which t's prefix goes, sorted. Where it is not
// known what is live they are those of now.
func (b *builder) nexthops(t Tunnel, p netip.Prefix, blocked bool) (names []string) {
	candidates := t.Live
	if !t.Known {
		r := Route{Prefix: p, Type: Unicast, Metric: memberMetric}
		candidates = b.there[r.key()].Nexthops
	}
	for _, name := range candidates {
		link, stays := b.Links[name]
		stays = stays && !b.gone[name]
		owner, _, _ := link.member()
		i := slices.IndexFunc(t.Members, func(m Member) bool { return m.Interface == name })
		up := i >= 0 && !blocked || link.Up // steps bring up those that are named
		switch {
		case stays && up && (i >= 0 || owner == t.Name):
		case t.Known && i >= 0 && !blocked && t.Link != NoLink: // a step makes it
		default:
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (b *builder) setRoute(r Route) {
	b.add(Step{Kind: SetRoute, Tunnel: b.tunnel[r.key()], Route: &r})
	b.there[r.key()] = r
}

func (b *builder) removeRoute(r Route, why string) {
	b.add(Step{Kind: RemoveRoute, Tunnel: b.tunnel[r.key()], Route: &r, Why: why})
	delete(b.there, r.key())
}

// sortedRoutes are the routes of m in the order of compare.
func sortedRoutes(m map[routeKey]Route) []Route {
	return slices.SortedFunc(maps.Values(m), Route.compare)
}

// close has what is protected go nowhere but where routes of members lead: the
// rules, what the tunnels' own packets need, and the unreachable routes.
func (b *builder) close() {
	if b.routed {
		for _, f := range b.families() {
			if !b.Rules[f] {
				b.add(Step{Kind: SetRule, Family: f})
			}
		}
	}
	for _, r := range sortedRoutes(b.wanted) {
		if have := b.there[r.key()]; r.Type != Unicast && !have.equal(r) {
			b.setRoute(r)
		}
	}
}

// retreat takes traffic off what is to be deleted, and off members that are not
// live.
func (b *builder) retreat() {
	for _, r := range sortedRoutes(b.there) {
		if r.Type != Unicast {
			continue
		}
		want, wanted := b.wanted[r.key()]
		leaves := slices.ContainsFunc(r.Nexthops, func(name string) bool { return b.gone[name] })
		switch {
		case !wanted:
			b.removeRoute(r, "")
		case leaves:
			want.Nexthops = slices.DeleteFunc(slices.Clone(want.Nexthops), func(name string) bool { return b.gone[name] || !b.Links[name].Up })
			if len(want.Nexthops) == 0 {
				b.removeRoute(r, "")
			} else {
				b.setRoute(want)
			}
		}
	}
}

// spread are the families in which flows are to be spread over members.
func (d Desired) spread() map[Family]bool {
	spread := make(map[Family]bool)
	for _, t := range d.Tunnels {
		for _, p := range t.routed() {
			if len(t.Members) > 1 {
				spread[familyOf(p.Addr())] = true
			}
		}
	}
	return spread
}

// advance routes over the members that are live.
func (b *builder) advance(desired Desired) {
	spread := desired.spread()
	for _, f := range b.families() {
		if spread[f] && !b.HashPorts[f] {
			b.add(Step{Kind: HashByPorts, Family: f})
		}
	}
	for _, r := range sortedRoutes(b.wanted) {
		if r.Type == Unicast && !b.there[r.key()].equal(r) {
			b.setRoute(r)
		}
	}
}

// leave takes away what no tunnel wants: routes, then the rules, and MSS.
func (b *builder) leave(desired Desired) {
	spread := desired.spread()
	for _, r := range slices.Backward(sortedRoutes(b.there)) {
		if _, wanted := b.wanted[r.key()]; !wanted {
			b.removeRoute(r, "no tunnel wants it")
		}
	}
	for _, f := range b.families() {
		if b.Rules[f] && !b.routed {
			b.add(Step{Kind: RemoveRule, Family: f, Why: "no tunnel is routed"})
		}
		if _, other := b.HashBefore[f]; other && !spread[f] {
			b.add(Step{Kind: HashAsBefore, Family: f, Why: "no tunnel has several members"})
		}
	}
	clamped, unknown := map[string]bool{}, map[string]bool{}
	for _, t := range desired.Tunnels {
		unknown[t.Name] = t.Link == NoLink && !t.Known && t.MSS != 0
		for _, m := range t.Members {
			clamped[m.Interface] = t.MSS != 0
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.MSS)) {
		// Charon's tun is not named before its Session has found it.
		if owner, _, _ := b.Links[name].member(); !clamped[name] && (!unknown[owner] || b.gone[name]) {
			b.add(Step{Kind: RemoveMSS, Link: name})
		}
	}
}
