package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Elsewhere are the machine's routes outside RouteTable, and its rules: what
// could lead around a tunnel.
type Elsewhere struct {
	Routes []OtherRoute
	Rules  []OtherRule
	VRFs   []int // their tables
}

// OtherRoute is a unicast route of another table.
type OtherRoute struct {
	Table   int
	Prefix  netip.Prefix
	Devices []string
}

// OtherRule is a policy rule. One that is none of what is named here drops what it
// matches (blackhole, unreachable, prohibit), or does nothing: neither leads anything
// past a tunnel.
type OtherRule struct {
	Family   Family
	Priority uint32
	Table    int    // that it has looked up; 0: none
	L3       bool   // l3mdev: the table of the VRF that a packet or its socket is in
	Goto     uint32 // the priority of the rule that is asked next; 0: the one behind it
}

// The kernel's tables: of routes that have no other, and of its own addresses.
const (
	tableMain  = 254
	tableLocal = 255
)

// ClearRoute is a way by which what a tunnel protects is reached too.
type ClearRoute struct {
	Tunnel  string
	Protect netip.Prefix
	Route   netip.Prefix // the zero one: any, by a rule
	Devices []string
	Why     string
}

func (c ClearRoute) String() string {
	if !c.Route.IsValid() {
		return fmt.Sprintf("protected %s: %s", c.Protect, c.Why)
	}
	return fmt.Sprintf("%s of protected %s by %s: %s", c.Route, c.Protect, by(c.Devices), c.Why)
}

func by(devices []string) string {
	if len(devices) == 0 {
		return "an unknown interface"
	}
	return strings.Join(devices, ", ")
}

// Astray says of must-secure tunnels, by name, that their own packets do not leave
// by their device, where alone all frames are looked at, routed here or not.
func Astray(desired Desired, e Elsewhere) map[string]string {
	astray := make(map[string]string)
	main := make(map[netip.Prefix][]OtherRoute)
	for _, r := range e.Routes {
		if r.Table == tableMain {
			main[r.Prefix.Masked()] = append(main[r.Prefix.Masked()], r)
		}
	}
	for _, t := range desired.Tunnels {
		for _, a := range t.Remotes {
			var best []OtherRoute // the longest prefixes
			for bits := a.BitLen(); bits >= 0 && best == nil; bits-- {
				best = main[netip.PrefixFrom(a, bits).Masked()]
			}
			for i, r := range best {
				if slices.Contains(r.Devices, t.Device) || len(r.Devices) == 0 || !t.Must {
					break
				}
				if i == len(best)-1 {
					astray[t.Name] = fmt.Sprintf("%s is routed by %s, not by device %s: its filter is on %s alone", a, by(r.Devices), t.Device, t.Device)
				}
			}
		}
	}
	return astray
}

// passes are the rules that lead past RouteTable: which tables of a family are
// looked up before it, and the rules that leave it out.
type passes struct {
	tables map[int]string
	gotos  []string
}

// passed reads e's rules, which are in the order in which they are asked. A rule
// may match a few packets only: what those are is not looked into.
func (e Elsewhere) passed() map[Family]*passes {
	all := make(map[Family]*passes)
	own := make(map[Family]bool) // linkseal's has been asked
	for _, r := range e.Rules {
		p := all[r.Family]
		if p == nil {
			p = &passes{tables: make(map[int]string)}
			all[r.Family] = p
		}
		add := func(table int, why string) {
			if _, twice := p.tables[table]; !twice && table != RouteTable && table != tableLocal && table != 0 {
				p.tables[table] = why
			}
		}
		switch {
		case r.Priority > RulePriority || own[r.Family]:
		case r.Priority == RulePriority && r.Table == RouteTable:
			own[r.Family] = true
		case r.Goto > RulePriority:
			p.gotos = append(p.gotos, fmt.Sprintf("rule %d goes on at rule %d and leaves out linkseal's, %d", r.Priority, r.Goto, RulePriority))
		case r.L3:
			for _, table := range e.VRFs {
				add(table, fmt.Sprintf("rule %d (l3mdev) has table %d, of a VRF, looked up before linkseal's", r.Priority, table))
			}
		default:
			add(r.Table, fmt.Sprintf("rule %d has table %d looked up before linkseal's", r.Priority, r.Table))
		}
	}
	return all
}

// heldBack says what becomes of what is led past a tunnel, of prefix p.
func heldBack(p netip.Prefix, f *Fence) string {
	if f != nil && slices.ContainsFunc(f.Protect, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) }) {
		return "; the fence holds it back: it is dropped, and not sent in clear"
	}
	return "; it leaves in clear"
}

// ClearRoutes finds the ways that lead around tunnels, in order: rules that leave
// out RouteTable, routes that the kernel takes before it, and those in main that
// are as specific as what is protected, or more. The first two carry what is
// protected past the tunnel, as far as the fence; the last do not, but somebody
// tells of another way to there, and the other end may take it.
func ClearRoutes(desired Desired, e Elsewhere, fence *Fence) (all []ClearRoute) {
	passed := e.passed()
	of := func(p netip.Prefix) passes {
		if found := passed[familyOf(p.Addr())]; found != nil {
			return *found
		}
		return passes{}
	}
	list := newProtected(desired)
	var found []placed
	for _, w := range list {
		for i, why := range of(w.prefix).gotos {
			found = append(found, placed{w, i - len(of(w.prefix).gotos), ClearRoute{Tunnel: desired.Tunnels[w.tunnel].Name, Protect: w.prefix, Why: why + heldBack(w.prefix, fence)}})
		}
	}
	for n, r := range e.Routes {
		before := of(r.Prefix).tables[r.Table]
		if before == "" && r.Table != tableMain {
			continue
		}
		for _, w := range list.overlapping(r.Prefix) {
			t, p := desired.Tunnels[w.tunnel], w.prefix
			if slices.ContainsFunc(t.Members, func(m Member) bool { return slices.Contains(r.Devices, m.Interface) }) {
				continue // into the tunnel itself
			}
			why := "a second way to there; what the other end sends may come in clear"
			if before != "" {
				why = before + heldBack(p, fence)
			} else if r.Prefix.Bits() < p.Bits() {
				continue
			}
			found = append(found, placed{w, n, ClearRoute{Tunnel: t.Name, Protect: p, Route: r.Prefix, Devices: r.Devices, Why: why}})
		}
	}
	slices.SortStableFunc(found, func(a, b placed) int {
		return cmp.Or(a.of.tunnel-b.of.tunnel, a.route-b.route, a.of.n-b.of.n)
	})
	for _, f := range found {
		all = append(all, f.ClearRoute)
	}
	return all
}
