package config

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// conflicts holds tunnels against ports and against each other.
func (d *decoder) conflicts() {
	interfaces := make(map[string]string) // of tunnels, whose
	for _, t := range d.Tunnels {
		for n := range t.Count {
			if name := t.MemberInterface(n); name != "" && interfaces[name] == "" {
				interfaces[name] = t.Name
			}
		}
	}
	taken := d.taken()
	for i, f := range d.tunnels {
		d.underlay(f, d.Tunnels[i], interfaces)
		d.protected(f, i, taken)
		d.inner(f, d.Tunnels[i])
		d.charonTun(f, i)
	}
	d.room()
}

// taken are the networks that are reached without a tunnel.
func (d *decoder) taken() *trie {
	all := &trie{}
	for _, t := range d.Tunnels {
		if t.Local.IsValid() {
			all.add(netip.PrefixFrom(t.Local, t.Local.BitLen()))
		}
		for _, a := range t.Addresses {
			all.add(a)
		}
	}
	for _, p := range d.Ports {
		for _, a := range p.Addresses {
			all.add(a)
		}
	}
	return all
}

// underlay refuses devices that cannot be a tunnel's.
func (d *decoder) underlay(f strict.Fields, t Tunnel, interfaces map[string]string) {
	at := f.Get("device")
	if t.Device == "lo" {
		at.Wrong("device lo leads to no other machine", "the device that carries the tunnel's packets")
	}
	for _, p := range d.Ports {
		if p.Must && p.Device == t.Device && t.Device != "" {
			at.Wrong(fmt.Sprintf("device %s is that of port %s, on which nothing but MACsec may pass", t.Device, p.Name),
				fmt.Sprintf("%s, the port's MACsec interface; or secure: should on the port", p.Interface))
		}
		if p.Device == t.Interface && t.Interface != "" {
			f.Get("interface").Wrong(fmt.Sprintf("interface %s is the device of port %s", t.Interface, p.Name), "a name that no device has")
		}
	}
	if o := interfaces[t.Device]; o != "" && (o != t.Name || t.Device != t.Interface) {
		at.Wrong(fmt.Sprintf("device %s is an interface of tunnel %s", t.Device, o), "the device that carries the tunnel's packets")
	}
}

// protected is the clear-text trap of private peering: what is protected must be
// reachable by one way alone.
func (d *decoder) protected(f strict.Fields, i int, taken *trie) {
	t := d.Tunnels[i]
	// What is taken is told by whom where anything is; the others are many.
	defer func() {
		for _, p := range t.Protect {
			taken.add(p)
		}
	}()
	list := f.Get("protect").List("address", prefixAccepted)
	at := func(n int) strict.Value {
		if len(list) == len(t.Protect) {
			return list[n]
		}
		if v := f.Get("protect"); v.Given() {
			return v
		}
		return f.Get("remote") // of transport mode
	}
	for n, p := range t.Protect {
		if nowhere(p) {
			at(n).Wrong(fmt.Sprintf("protected prefix %s never leaves a link or a machine, and is not routed", p), "networks behind remote")
			continue
		}
		if why, accepted := d.reachable(p, i, taken); why != "" {
			at(n).Wrong(fmt.Sprintf("protected prefix %s %s", p, why), accepted)
		}
	}
	if w := t.WireGuard; w != nil {
		peers := w.allowed()
		for n, p := range t.Protect {
			if !slices.ContainsFunc(peers, p.Overlaps) {
				at(n).Wrong(fmt.Sprintf("protected prefix %s is no peer's: none has it in its allowed_ips", p), "one that a peer has, or more allowed_ips")
			}
		}
		if q := t.Probe; q != nil && q.Address.IsValid() && !slices.ContainsFunc(peers, func(p netip.Prefix) bool { return p.Contains(q.Address) }) {
			f.Get("probe").Wrong(fmt.Sprintf("probe address %s is no peer's: none has it in its allowed_ips", q.Address), "an address that a peer has, or more allowed_ips")
		}
	}
}

// allowed are the allowed IPs of all peers.
func (w *WireGuard) allowed() []netip.Prefix {
	all := slices.Clone(w.AllowedIPs)
	for _, p := range w.Peers {
		all = append(all, p.AllowedIPs...)
	}
	return all
}

// reachable says by what else p, which tunnel i protects, is reached; "" if by
// nothing that is configured.
func (d *decoder) reachable(p netip.Prefix, i int, taken *trie) (why, accepted string) {
	const disjoint = "networks that are reached through this tunnel alone"
	t := d.Tunnels[i]
	if !t.Transport() && p == netip.PrefixFrom(t.Remote, p.Addr().BitLen()) {
		return "is remote itself, to which the tunnel's own packets go beside it", "the networks behind remote, or mode: transport"
	}
	if !taken.overlaps(p) {
		return "", ""
	}
	for j, o := range d.Tunnels {
		if o.Local.IsValid() && p.Contains(o.Local) {
			return fmt.Sprintf("has local %s of tunnel %s in it", o.Local, o.Name), "networks of the other end"
		}
		for _, a := range o.Addresses {
			if p.Overlaps(a.Masked()) {
				return fmt.Sprintf("has the network of address %s of tunnel %s in it, or is in it", a, o.Name), disjoint
			}
		}
		if j >= i {
			continue // told once, at the later
		}
		for _, q := range o.Protect {
			if p.Overlaps(q) {
				return fmt.Sprintf("overlaps %s, which tunnel %s protects", q, o.Name), disjoint
			}
		}
	}
	for _, o := range d.Ports {
		for _, a := range o.Addresses {
			if p.Overlaps(a.Masked()) {
				return fmt.Sprintf("has the network of address %s of port %s in it, or is in it", a, o.Name), disjoint
			}
		}
	}
	return "", ""
}

// charonTun refuses what charon cannot do in user space: it has one tun.
func (d *decoder) charonTun(f strict.Fields, i int) {
	t := d.Tunnels[i]
	if t.IPsec == nil || t.Dataplane != Userspace {
		return
	}
	const accepted = "one IPsec tunnel with dataplane: userspace; more with dataplane: kernel"
	if t.Count > 1 {
		f.Get("count").Wrong(fmt.Sprintf("count %d with IPsec in user space: charon has one tun", t.Count), "count: 1, or dataplane: kernel")
	}
	for j, o := range d.Tunnels {
		switch {
		case o.IPsec == nil || i == j:
		case o.Dataplane == Userspace && j < i:
			f.Get("dataplane").Wrong(fmt.Sprintf("IPsec in user space is taken by tunnel %s: charon has one tun", o.Name), accepted)
		case o.Dataplane == Kernel:
			f.Get("dataplane").Wrong(fmt.Sprintf("IPsec in user space, and that of tunnel %s in the kernel: charon does one of both", o.Name), accepted)
		}
	}
}
