package reconcile

import (
	"errors"
	"fmt"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/nft"
	"github.com/linkseal/linkseal/linux/route"
	"github.com/linkseal/linkseal/linux/tap"
)

var families = map[plan.Family]route.Family{plan.IPv4: route.IPv4, plan.IPv6: route.IPv6}

// applyTunnel is Apply of the kinds that are of tunnels alone.
func (k *Kernel) applyTunnel(s plan.Step) (handled bool, err error) {
	switch s.Kind {
	case plan.SetUnderlay:
		return true, k.setUnderlay(s)
	case plan.SetRule:
		return true, k.routes.AddRule(families[s.Family], plan.RulePriority, plan.RouteTable)
	case plan.RemoveRule:
		return true, k.routes.DeleteRule(families[s.Family], plan.RulePriority, plan.RouteTable)
	case plan.HashByPorts:
		return true, k.hashByPorts(s.Family)
	case plan.HashAsBefore:
		return true, k.hashAsBefore(s.Family)
	case plan.SetRoute:
		r, err := k.routeOf(*s.Route)
		if err == nil {
			err = k.routes.Replace(r)
		}
		return true, err
	case plan.RemoveRoute:
		gone := *s.Route
		gone.Nexthops = nil
		r, err := k.routeOf(gone)
		if err == nil {
			err = k.routes.Delete(r)
		}
		return true, err
	case plan.SetMSS:
		k.mssSeen = true
		return true, k.nft.SetMSS(s.Link, s.MSS)
	case plan.RemoveMSS:
		return true, k.nft.RemoveMSS(s.Link)
	case plan.SetFence:
		k.fenceSeen = true
		return true, k.nft.SetFence(nft.Fence(*s.Fence))
	case plan.RemoveFence:
		return true, k.nft.RemoveFence()
	case plan.CreateTunnel:
		return true, k.createTunnel(s)
	}
	return false, nil
}

var routeTypes = map[plan.RouteType]route.Type{plan.Unicast: route.Unicast, plan.Unreachable: route.Unreachable, plan.Throw: route.Throw}

func (k *Kernel) routeOf(r plan.Route) (out route.Route, err error) {
	out = route.Route{Table: plan.RouteTable, Prefix: r.Prefix, Type: routeTypes[r.Type], Metric: r.Metric}
	for _, name := range r.Nexthops {
		l, err := k.links.ByName(name)
		if err != nil {
			return out, err
		}
		out.Nexthops = append(out.Nexthops, route.Nexthop{Index: l.Index})
	}
	return out, nil
}

// filterOf is f as bpf has it.
func filterOf(f plan.Filter) (out bpf.Filter, err error) {
	out = bpf.Filter{EAPOLDestination: f.EAPOLDestination, EtherType: f.EAPOLEtherType, CountOnly: f.CountOnly}
	for _, name := range f.Allow {
		p, err := bpf.ParseProtocol(name)
		if err != nil {
			return out, err
		}
		out.Allow = append(out.Allow, p)
	}
	if f.Underlay == nil {
		return out, nil
	}
	out.Underlay = &bpf.Underlay{Protect: f.Underlay.Protect}
	for _, w := range f.Underlay.Flows {
		flow := bpf.Flow{Protocol: bpf.WireGuard, Local: w.Local, Remote: w.Remote, LocalPort: w.LocalPort, RemotePort: w.RemotePort, Roams: w.Roams}
		if w.Protocol == plan.XFRM {
			flow.Protocol, flow.AnySPI, flow.SPIIn, flow.SPIOut = bpf.IPsec, true, w.SPIIn, w.SPIOut
		}
		out.Underlay.Flows = append(out.Underlay.Flows, flow)
	}
	return out, nil
}

// setUnderlay attaches the filter, or where that stands changes what it goes by.
func (k *Kernel) setUnderlay(s plan.Step) error {
	l, err := k.links.ByName(s.Device)
	if err != nil {
		return err
	}
	f, err := filterOf(*s.Filter)
	if err != nil {
		return err
	}
	return k.ns.Do(func() error {
		if have, err := bpf.Observe(l.Index); err == nil && have.Stands(f) {
			e, err := bpf.Open(l.Index)
			if err == nil {
				return errors.Join(e.SetUnderlay(*f.Underlay), e.Close())
			}
		}
		e, err := bpf.Attach(l.Index, f)
		if err != nil {
			return err
		}
		return e.Close()
	})
}

// createTunnel makes the interface under a name of its own and gives it name and
// alias last, in one: see package plan.
func (k *Kernel) createTunnel(s plan.Step) error {
	var err error
	switch s.LinkKind {
	case plan.WireGuard:
		err = k.links.CreateWireGuard(plan.UnfinishedName)
	case plan.XFRM:
		var parent link.Link
		if parent, err = k.links.ByName(s.Device); err == nil {
			err = k.links.CreateXFRM(plan.UnfinishedName, parent.Index, s.IfID)
		}
	case plan.TUN:
		err = k.ns.Do(func() error { return tap.CreateTun(plan.UnfinishedName) })
	default:
		err = fmt.Errorf("step %q: kind %q of interface is unknown", s.Kind, s.LinkKind)
	}
	if err != nil {
		return err
	}
	l, err := k.links.ByName(plan.UnfinishedName)
	if err != nil {
		return err
	}
	if err := k.links.SetNameAlias(l.Index, s.Link, plan.MemberAlias(s.Tunnel, s.Member)); err != nil {
		return errors.Join(err, k.links.Delete(l.Index))
	}
	return nil
}
