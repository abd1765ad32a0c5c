package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"pgregory.net/rapid"
)

// unroute takes the routes off a link that carries nothing any more, as a kernel
// does.
func (o *Observed) unroute(name string) {
	for i := range o.Routes {
		o.Routes[i].Nexthops = slices.DeleteFunc(slices.Clone(o.Routes[i].Nexthops), func(n string) bool { return n == name })
	}
	o.Routes = slices.DeleteFunc(o.Routes, func(r Route) bool { return r.Type == Unicast && len(r.Nexthops) == 0 })
}

func (o *Observed) unplug(name string) {
	o.unroute(name)
	delete(o.Links, name)
	delete(o.Filters, name)
}

// applyTunnel is apply of the steps of tunnels.
func applyTunnel(o *Observed, s Step) (handled bool, err error) {
	fail := func(bad bool, what string) (bool, error) {
		if bad {
			return true, fmt.Errorf("%s: %s", s, what)
		}
		return true, nil
	}
	at := slices.IndexFunc(o.Routes, func(r Route) bool { return s.Route != nil && r.key() == s.Route.key() })
	switch s.Kind {
	case SetRule:
		was := o.Rules[s.Family]
		o.Rules[s.Family] = true
		return fail(was, "the rule is there")
	case RemoveRule:
		was := o.Rules[s.Family]
		delete(o.Rules, s.Family)
		return fail(!was, "no rule")
	case SetFence:
		was := s.Fence.Equal(o.Fence)
		o.Fence = s.Fence
		return fail(was, "it is so")
	case RemoveFence:
		was := o.Fence
		o.Fence = nil
		return fail(was == nil, "there is none")
	case SetRoute:
		for _, name := range s.Route.Nexthops {
			if !o.Links[name].Up {
				return true, fmt.Errorf("%s: %s is down", s, name)
			}
		}
		if (s.Route.Type == Unicast) != (len(s.Route.Nexthops) > 0) {
			return true, errors.New(s.String() + ": nexthops")
		}
		if at >= 0 {
			same := o.Routes[at].equal(*s.Route)
			o.Routes[at] = *s.Route
			return fail(same, "the route is there")
		}
		o.Routes = append(o.Routes, *s.Route)
		return true, nil
	case RemoveRoute:
		if at < 0 {
			return true, errors.New(s.String() + ": no such route")
		}
		o.Routes = slices.Delete(slices.Clone(o.Routes), at, at+1)
		return true, nil
	case HashByPorts:
		was := o.HashPorts[s.Family]
		o.HashBefore[s.Family] = "0"
		o.HashPorts[s.Family] = true
		return fail(was, "it is so")
	case HashAsBefore:
		_, was := o.HashBefore[s.Family]
		delete(o.HashBefore, s.Family)
		delete(o.HashPorts, s.Family)
		return fail(!was, "it is so")
	case SetMSS:
		was := o.MSS[s.Link] == s.MSS
		o.MSS[s.Link] = s.MSS
		return fail(was, "it is so")
	case RemoveMSS:
		_, was := o.MSS[s.Link]
		delete(o.MSS, s.Link)
		return fail(!was, "there is none")
	case CreateTunnel:
		_, present := o.Links[s.Link]
		_, device := o.Links[s.Device]
		if present || s.LinkKind == XFRM && !device || !s.LinkKind.tunnel() {
			return true, fmt.Errorf("%s: interface %v, device %v", s, present, device)
		}
		l := Link{Name: s.Link, Alias: MemberAlias(s.Tunnel, s.Member), Kind: s.LinkKind, IfID: s.IfID, MTU: 1420}
		if s.LinkKind == XFRM {
			l.Parent = s.Device
		}
		o.Links[s.Link] = l
		return true, nil
	}
	return false, nil
}

// tunnelLeaks lists the ways in which what is protected could go in clear, and
// those in which tunnels lose their own packets.
func tunnelLeaks(o *Observed, d Desired) map[string]bool {
	found := make(map[string]bool)
	for _, t := range d.Tunnels {
		if t.Must {
			device, there := o.Links[t.Device]
			u := o.Filters[t.Device].Underlay
			for _, p := range t.Protect {
				if there && device.Up && (u == nil || !slices.Contains(u.Protect, p)) {
					found[fmt.Sprintf("%s passes %s", t.Device, p)] = true
				}
				if o.Fence == nil || !slices.ContainsFunc(o.Fence.Protect, p.Overlaps) {
					found[fmt.Sprintf("%s is not fenced", p)] = true
				}
				behind := Route{Prefix: p, Type: Unreachable, Metric: unreachableMetric}
				closed := o.Rules[familyOf(p.Addr())] && slices.ContainsFunc(o.Routes, behind.equal)
				if !closed && !t.Transport && !o.NoIPv6 {
					found[fmt.Sprintf("%s is routed as by main", p)] = true
				}
			}
		}
		for _, a := range t.Remotes {
			throw := Route{Prefix: netip.PrefixFrom(a, a.BitLen()), Type: Throw, Metric: throwMetric}
			for _, r := range o.Routes {
				if r.Prefix.Contains(a) && r.Type != Throw && !t.Transport && !slices.ContainsFunc(o.Routes, throw.equal) {
					found[fmt.Sprintf("packets to %s go into %s", a, r.Prefix)] = true
				}
			}
		}
	}
	if o.Fence == nil || !slices.ContainsFunc(d.Tunnels, func(t Tunnel) bool { return t.Must }) {
		return found
	}
	for _, name := range o.Fence.Pass {
		l, there := o.Links[name]
		f, filtered := o.Filters[name]
		if _, _, tunnel := l.member(); there && l.Up && !tunnel && (!filtered || f.CountOnly && f.Underlay == nil) {
			found["the fence passes "+name] = true
		}
	}
	return found
}

// genTunnels draws up to two tunnels on devices that no must-secure port has, or
// on the interface of a port.
func genTunnels(t *rapid.T, d Desired) (all []Tunnel) {
	for i := range 2 {
		var devices []string
		for _, name := range []string{"eth0", "eth1", "eth2"} {
			if must(d, name) == nil {
				devices = append(devices, name)
			}
		}
		for _, p := range d.Ports {
			devices = append(devices, p.Interface)
		}
		if len(devices) == 0 || rapid.Bool().Draw(t, "no tunnel") {
			continue
		}
		n := fmt.Sprintf("hub%d", i)
		prefix := func(s string) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf(s, i)) }
		g := Tunnel{Name: n, Device: rapid.SampledFrom(devices).Draw(t, "tunnel device"), Must: rapid.Bool().Draw(t, "must"),
			Link:      rapid.SampledFrom([]LinkKind{WireGuard, XFRM, TUN, NoLink}).Draw(t, "kind"),
			Known:     rapid.Bool().Draw(t, "known"),
			Protect:   rapid.SampledFrom([][]netip.Prefix{{prefix("10.2%d.0.0/16")}, {prefix("10.2%d.0.0/16"), prefix("2001:db8:%d::/48")}}).Draw(t, "protect"),
			Addresses: rapid.SampledFrom([][]netip.Prefix{nil, {prefix("169.254.2%d.2/30")}}).Draw(t, "addresses"),
			MTU:       rapid.SampledFrom([]int{1400, 1420}).Draw(t, "mtu"), MSS: rapid.SampledFrom([]int{0, 1350}).Draw(t, "mss"),
			Remotes: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.2%d.0.5", i))}}
		g.Flows = []Flow{{Protocol: WireGuard, LocalPort: uint16(rapid.IntRange(1, 2).Draw(t, "port"))}}
		g.Transport = g.Link == NoLink && rapid.Bool().Draw(t, "transport")
		count := rapid.IntRange(1, 3).Draw(t, "count")
		g.Probe = rapid.SampledFrom([]netip.Addr{{}, netip.MustParseAddr(fmt.Sprintf("169.254.2%d.1", i))}).Draw(t, "probe")
		base := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "tunnel interface")
		if !g.Transport {
			for m := range count {
				member := Member{N: m, Interface: fmt.Sprintf("%s%d-%d", base, i, m)}
				if g.Link == XFRM {
					member.IfID = uint32(100*i + m + 1)
				}
				g.Members = append(g.Members, member)
				if g.Known && rapid.Bool().Draw(t, "live") {
					g.Live = append(g.Live, member.Interface)
				}
			}
		}
		all = append(all, g)
	}
	return all
}

// driftRoutes changes what somebody with ip(8) and nft(8) could change.
func driftRoutes(t *rapid.T, o *Observed) {
	switch rapid.IntRange(0, 4).Draw(t, "drift of routes") {
	case 0:
		o.Routes = nil
	case 1:
		clear(o.Rules)
	case 2:
		o.MSS["a0-0"], o.MSS["x"] = 1000, 1000
	case 4:
		o.Fence = rapid.SampledFrom([]*Fence{nil, {}, {Protect: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/24")}, Pass: []string{"a0-0"}}}).Draw(t, "fence")
	case 3:
		stray := Route{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Type: Unicast, Metric: 7, Nexthops: []string{"eth0"}}
		if !slices.ContainsFunc(o.Routes, stray.equal) {
			o.Routes = append(slices.Clone(o.Routes), stray)
		}
	}
}
