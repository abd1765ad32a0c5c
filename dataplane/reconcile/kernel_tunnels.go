package reconcile

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/route"
)

// underlayFilter is the filter of an underlay as found: want, if it is that.
func underlayFilter(s bpf.State, want plan.Filter) plan.Filter {
	want = withCounted(want, s.Underlay)
	f, err := filterOf(want)
	if want.Underlay != nil && err == nil && s.Enforces(f) {
		return want
	}
	in := s.Ingress.Filter
	return plan.Filter{EAPOLDestination: in.EAPOLDestination, EAPOLEtherType: in.EtherType, CountOnly: in.CountOnly, Underlay: &plan.Underlay{Protect: s.Underlay.Protect}}
}

// withCounted is want with the SPIs that are counted, where it names none: who does not
// know them takes them from here, as plan.Build does for a tunnel that is not known.
func withCounted(want plan.Filter, have *bpf.UnderlayState) plan.Filter {
	if want.Underlay == nil || have == nil {
		return want
	}
	u := *want.Underlay
	u.Flows = slices.Clone(u.Flows)
	for i, f := range u.Flows {
		if f.Protocol != plan.XFRM || len(f.SPIIn)+len(f.SPIOut) > 0 {
			continue
		}
		for _, id := range have.Flows {
			switch {
			case id.Protocol != bpf.ESP || id.SPI == 0 || id.Local.Addr() != f.Local || id.Remote.Addr() != f.Remote:
			case id.Egress:
				f.SPIOut = append(f.SPIOut, id.SPI)
			default:
				f.SPIIn = append(f.SPIIn, id.SPI)
			}
		}
		u.Flows[i] = f
	}
	want.Underlay = &u
	return want
}

// observeRoutes fills in routes, rules and MSS.
func (k *Kernel) observeRoutes(d plan.Desired, links []link.Link, names map[int]string, o *plan.Observed) error {
	o.Rules, o.MSS = make(map[plan.Family]bool), make(map[string]int)
	var rules []route.Rule
	for f, is := range families {
		some, err := k.routes.Rules(is)
		if errors.Is(err, route.ErrNoFamily) && f == plan.IPv6 {
			o.NoIPv6 = true
			continue
		}
		if err != nil {
			return err
		}
		rules = append(rules, some...)
		o.Rules[f] = slices.Contains(some, route.Rule{Family: is, Priority: plan.RulePriority, Table: plan.RouteTable, All: true})
		table, err := k.routes.List(is, plan.RouteTable)
		if err != nil {
			return err
		}
		for _, r := range table {
			o.Routes = append(o.Routes, planned(r, names))
		}
	}
	if err := k.observeHash(o); err != nil {
		return err
	}
	if k.mssSeen || slices.ContainsFunc(d.Tunnels, func(t plan.Tunnel) bool { return t.MSS != 0 }) {
		var err error
		if o.MSS, err = k.nft.MSS(); err != nil && len(d.Tunnels) > 0 {
			return err
		}
		k.mssSeen = len(o.MSS) > 0
	}
	if k.fenceSeen || slices.ContainsFunc(d.Tunnels, func(t plan.Tunnel) bool { return t.Must }) {
		// What cannot be read cannot be set either, which tells why.
		f, there, err := k.nft.Fence()
		if there {
			o.Fence = (*plan.Fence)(&f)
		}
		k.fenceSeen = there || err != nil
	}
	if len(d.Tunnels) == 0 || time.Since(k.elsewhere) < resync/2 {
		return nil
	}
	k.elsewhere = time.Now()
	return k.observeElsewhere(rules, links, names, o)
}

// planned is r as a plan has it. A type that linkseal makes none of equals none
// that is wanted.
func planned(r route.Route, names map[int]string) plan.Route {
	out := plan.Route{Prefix: r.Prefix, Type: plan.RouteType(r.Type.String()), Metric: r.Metric}
	for _, n := range r.Nexthops {
		if !n.Dead {
			out.Nexthops = append(out.Nexthops, names[n.Index])
		}
	}
	slices.Sort(out.Nexthops)
	return out
}

func (k *Kernel) observeElsewhere(rules []route.Rule, links []link.Link, names map[int]string, o *plan.Observed) error {
	e := &plan.Elsewhere{}
	for _, l := range links {
		if l.Table != 0 {
			e.VRFs = append(e.VRFs, int(l.Table))
		}
	}
	for f, is := range families {
		all, err := k.routes.List(is, 0)
		if err != nil && f == plan.IPv4 {
			return err
		}
		for _, r := range all {
			if r.Type != route.Unicast || r.Table == plan.RouteTable {
				continue
			}
			e.Routes = append(e.Routes, plan.OtherRoute{Table: r.Table, Prefix: r.Prefix, Devices: planned(r, names).Nexthops})
		}
		for _, r := range rules {
			if r.Family == is {
				e.Rules = append(e.Rules, plan.OtherRule{Family: f, Priority: r.Priority, Table: r.Table, L3: r.L3, Goto: r.Goto})
			}
		}
	}
	o.Elsewhere = e
	return nil
}

// Flows implements Machine.
func (k *Kernel) Flows(device string) (all []status.Flow, err error) {
	l, err := k.links.ByName(device)
	if err != nil {
		return nil, unlessGone(err)
	}
	var counters []bpf.FlowCounter
	err = k.ns.Do(func() (err error) { counters, err = bpf.ReadFlows(l.Index); return err })
	if errors.Is(err, bpf.ErrNotAttached) || errors.Is(err, bpf.ErrNotUnderlay) {
		return nil, nil
	}
	for _, c := range counters {
		f := status.Flow{Protocol: c.Protocol.String(), Direction: "ingress", Local: c.Local.String(), Remote: "any", Traffic: traffic(c.Traffic), Gaps: c.Gaps()}
		if c.Egress {
			f.Direction = "egress"
		}
		if c.Remote.IsValid() {
			f.Remote = c.Remote.String()
		}
		if c.SPI != 0 {
			f.SPI = fmt.Sprintf("%08x", c.SPI)
		}
		all = append(all, f)
	}
	return all, err
}
