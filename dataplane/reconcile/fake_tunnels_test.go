package reconcile

import (
	"slices"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
)

// unroute takes the routes off a link that goes.
func (m *fakeMachine) unroute(name string) {
	m.o.Routes = slices.Clone(m.o.Routes)
	for i := range m.o.Routes {
		m.o.Routes[i].Nexthops = slices.DeleteFunc(slices.Clone(m.o.Routes[i].Nexthops), func(n string) bool { return n == name })
	}
	m.o.Routes = slices.DeleteFunc(m.o.Routes, func(r plan.Route) bool { return r.Type == plan.Unicast && len(r.Nexthops) == 0 })
}

// applyTunnel is Apply of the kinds of tunnels.
func (m *fakeMachine) applyTunnel(s plan.Step) bool {
	switch s.Kind {
	case plan.SetRule:
		m.o.Rules[s.Family] = true
	case plan.RemoveRule:
		delete(m.o.Rules, s.Family)
	case plan.HashByPorts:
		m.o.HashPorts[s.Family] = true
		m.o.HashBefore[s.Family] = "0"
	case plan.HashAsBefore:
		delete(m.o.HashPorts, s.Family)
		delete(m.o.HashBefore, s.Family)
	case plan.SetFence:
		m.o.Fence = s.Fence
	case plan.RemoveFence:
		m.o.Fence = nil
	case plan.SetMSS:
		m.o.MSS[s.Link] = s.MSS
	case plan.RemoveMSS:
		delete(m.o.MSS, s.Link)
	case plan.SetRoute, plan.RemoveRoute:
		m.o.Routes = slices.DeleteFunc(slices.Clone(m.o.Routes), func(r plan.Route) bool {
			return r.Prefix == s.Route.Prefix && r.Type == s.Route.Type && r.Metric == s.Route.Metric
		})
		if s.Kind == plan.SetRoute {
			m.o.Routes = append(m.o.Routes, *s.Route)
		}
	case plan.CreateTunnel:
		m.index++
		m.o.Links[s.Link] = plan.Link{Name: s.Link, Index: m.index, Alias: plan.MemberAlias(s.Tunnel, s.Member), Kind: s.LinkKind, IfID: s.IfID, MTU: 1500}
	default:
		return false
	}
	return true
}

// routes are those there are, as steps name them.
func (m *fakeMachine) routes() (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.o.Routes {
		all = append(all, r.String())
	}
	slices.Sort(all)
	return all
}

func (m *fakeMachine) Dropped(interfaces []string, ipsec bool) map[string]map[string]uint64 {
	all := make(map[string]map[string]uint64)
	for i, name := range interfaces {
		all[name] = map[string]uint64{"tx_dropped": uint64(i + 1)}
	}
	if ipsec {
		all[status.XFRM] = map[string]uint64{"rx_errors": 9}
	}
	return all
}

func (m *fakeMachine) Flows(device string) ([]status.Flow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, "flows "+device)
	return m.flows, nil
}

func (m *fakeMachine) Fenced() *status.Fenced {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, "fenced")
	if m.o.Fence == nil {
		return nil
	}
	return &status.Fenced{Packets: 3, Octets: 300}
}
