package reconcile

import (
	"net/netip"
	"slices"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/plan"
)

// chooseTunnels adds to chosen where c's tunnels run. Charon does ESP in the kernel
// or in user space, and has one tun there: one IPsec tunnel alone is in user
// space.
func chooseTunnels(c *config.Config, can plan.Capabilities, chosen map[string]plan.Choice) {
	charon := ""
	for _, t := range c.Tunnels {
		if t.IPsec != nil && t.Dataplane == config.Userspace {
			charon = t.Name
		}
	}
	for _, t := range c.Tunnels {
		kind := plan.WireGuard
		if t.IPsec != nil {
			kind = plan.XFRM
		}
		choice := can.ChooseTunnel(plan.Dataplane(t.Dataplane), kind, t.Transport(), t.Count > 1)
		if kind == plan.XFRM && choice.Dataplane == plan.Userspace && charon == "" {
			charon = t.Name
		}
		if kind == plan.XFRM && charon != "" && charon != t.Name && choice.Lack == nil {
			choice.Lack = &plan.Lack{Cause: "IPsec runs in user space, where tunnel " + charon + " has it: charon has one tun", Remedy: "one IPsec tunnel, or dataplane: kernel for all where the kernel has ESP"}
		}
		if kind == plan.XFRM && t.CopyDSCP && choice.Dataplane == plan.Userspace && choice.Lack == nil {
			choice.Lack = &plan.Lack{Cause: "IPsec runs in user space, which does not copy the DSCP of what is in it", Remedy: "dscp: 0, or a kernel with CONFIG_INET_ESP and CONFIG_XFRM_INTERFACE"}
		}
		chosen[t.Name] = choice
	}
}

// protector names the tunnel of all that protects a, or has it inside; "" if none
// does.
func protector(all []config.Tunnel, a netip.Addr) string {
	a = a.Unmap()
	for _, t := range all {
		switch {
		case slices.ContainsFunc(t.Protect, func(p netip.Prefix) bool { return p.Contains(a) }),
			slices.ContainsFunc(t.Addresses, func(p netip.Prefix) bool { return p.Contains(a) }),
			t.Probe != nil && t.Probe.Address == a:
			return t.Name
		}
	}
	return ""
}

// desiredTunnel is what t, of all, asks of the machine. v is how it is; one that
// is not known leaves what is routed.
func desiredTunnel(t *config.Tunnel, all []config.Tunnel, choice plan.Choice, v overlay.View) plan.Tunnel {
	d := plan.Tunnel{Name: t.Name, Device: t.Device, Must: t.Must, Lack: choice.Lack, Known: v.State != overlay.Unknown,
		Protect: t.Protect, Addresses: t.Addresses, MTU: t.MTU, MSS: t.MSS, Transport: t.Transport()}
	if t.FitMTU {
		d.Room, d.LeastMTU = t.Room(choice.Dataplane == plan.Userspace), t.LeastMTU()
	}
	if t.FitMSS {
		d.MSSRoom = t.MSSRoom()
	}
	if t.Probe != nil {
		d.Probe = t.Probe.Address
	}
	switch user := choice.Dataplane == plan.Userspace; {
	case t.WireGuard != nil && user:
		d.Link = plan.TUN
	case t.WireGuard != nil:
		d.Link = plan.WireGuard
	case !user && !t.Transport():
		d.Link = plan.XFRM
	}
	for n := range t.Count {
		m := plan.Member{N: n, Interface: t.MemberInterface(n)}
		if d.Link == plan.XFRM {
			m.IfID = overlay.IfID(t.Name, n)
		}
		if d.Link != plan.NoLink {
			d.Members = append(d.Members, m)
		}
	}
	d.Remotes = t.Remotes()
	for _, m := range v.Members {
		if d.Link == plan.NoLink && m.Interface != "" && !t.Transport() { // charon's tun
			d.Members = append(d.Members, plan.Member{N: m.N, Interface: m.Interface})
		}
		if m.Live && m.Interface != "" {
			d.Live = append(d.Live, m.Interface)
		}
		// An outer source address is not authenticated: who writes one must not
		// choose what goes beside a tunnel.
		if m.Remote.IsValid() && protector(all, m.Remote.Addr()) == "" {
			d.Remotes = append(d.Remotes, m.Remote.Addr().Unmap())
		}
	}
	slices.SortFunc(d.Remotes, netip.Addr.Compare)
	d.Remotes = slices.Compact(d.Remotes)
	d.Flows = flows(t, v)
	return d
}

// flows are what t sends and receives on its underlay.
func flows(t *config.Tunnel, v overlay.View) (all []plan.Flow) {
	if t.IPsec != nil {
		f := plan.Flow{Protocol: plan.XFRM, Local: t.Local, Remote: t.Remote}
		for _, m := range v.Members {
			f.SPIIn, f.SPIOut = append(f.SPIIn, m.SPIIn...), append(f.SPIOut, m.SPIOut...)
		}
		slices.Sort(f.SPIIn)
		slices.Sort(f.SPIOut)
		f.SPIIn, f.SPIOut = slices.Compact(f.SPIIn), slices.Compact(f.SPIOut)
		return []plan.Flow{f}
	}
	w := t.WireGuard
	for n := range uint16(t.Ports()) {
		local := plan.Flow{Protocol: plan.WireGuard, Local: t.Local, LocalPort: w.Port + n}
		ends := []netip.AddrPort{netip.AddrPortFrom(t.Remote, w.Port)}
		for _, p := range w.Peers {
			ends = append(ends, p.Remote)
		}
		for _, end := range ends {
			if f := local; end.IsValid() {
				f.Remote, f.RemotePort = end.Addr(), end.Port()+n
				all = append(all, f)
			}
		}
		// Peers roam, and what they send has WireGuard's form.
		local.Roams = true
		all = append(all, local)
	}
	return all
}
