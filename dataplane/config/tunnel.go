package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// making is the name of an interface until it has its own: plan.UnfinishedName.
const making = "linkseal.new"

// maxInterface is the longest name of an interface, in octets.
const maxInterface = 15

func (d *decoder) tunnel(i int, v strict.Value) {
	f := v.Fields("tunnel "+itoa(i+1), "name", "type", "device", "interface", "dataplane", "local", "remote", "count", "secure",
		"protect", "addresses", "mtu", "mss", "dscp", "probe", "wireguard", "ipsec")
	t := Tunnel{
		Name:      d.name(f.Need("name", nameAccepted)),
		Type:      f.Need("type", "wireguard, ipsec").OneOf("", TypeWireGuard, TypeIPsec),
		Device:    d.device(f.Need("device", deviceAccepted)),
		Dataplane: f.Get("dataplane").OneOf(Auto, Auto, Kernel, Userspace),
		Local:     d.end(f.Need("local", endAccepted)),
		Remote:    d.end(f.Need("remote", endAccepted)),
		Count:     int(f.Get("count").Int(1, 1, 64)),
		Must:      f.Get("secure").OneOf("must", "must", "should") == "must",
		Protect:   d.prefixes(f.Get("protect"), true),
		Addresses: d.prefixes(f.Get("addresses"), false),
		MTU:       int(f.Get("mtu").Int(mostMTU, minMTU, 65535)),
		MSS:       int(f.Get("mss").Int(0, 0, 65495)),
		FitMTU:    !f.Get("mtu").Given(),
		FitMSS:    !f.Get("mss").Given(),
		CopyDSCP:  f.Get("dscp").OneOf("0", "0", "copy") == "copy",
	}
	d.unique("name", t.Name, f.Get("name"))
	switch {
	case !t.Local.IsValid() || !t.Remote.IsValid():
	case t.Local.Is4() != t.Remote.Is4():
		f.Get("remote").Wrong("local and remote are of two families", "two IPv4 or two IPv6 addresses")
	case t.Local == t.Remote:
		f.Get("remote").Wrong("local and remote are the same address", "the address of the other end")
	}
	t.Probe = d.probe(f.Get("probe"), t)
	switch t.Type {
	case TypeWireGuard:
		t.WireGuard = d.wireguard(f.Need("wireguard", "a mapping with private_key and peer_public_key"), t)
		without(f, "type: wireguard", "ipsec")
	case TypeIPsec:
		t.IPsec = d.ipsec(f.Need("ipsec", "a mapping with auth and keychain"), t)
		without(f, "type: ipsec", "wireguard")
	}
	if t.Transport() {
		t = d.transport(f, t)
	} else {
		t.Interface = d.device(f.Need("interface", deviceAccepted))
		d.members(f, t)
		d.sizes(f, t)
		if t.FitMSS {
			t.MSS = max(t.MTU-t.MSSRoom(), 1)
		}
	}
	d.dscp(f, t)
	for _, key := range f.Keys() {
		d.note(fmt.Sprintf("tunnels.%d.%s", i, key), f.Get(key))
	}
	d.Tunnels, d.tunnels = append(d.Tunnels, t), append(d.tunnels, f)
}

// dscp refuses to copy it where nothing does: a WireGuard of the kernel sends all of
// DSCP 0, and so do the others, so that a tunnel does not change with where it
// runs; charon in user space makes the outer header without a look at the inner.
func (d *decoder) dscp(f strict.Fields, t Tunnel) {
	switch {
	case !t.CopyDSCP:
	case t.WireGuard != nil:
		f.Get("dscp").Wrong("WireGuard does not copy the DSCP of what is in it", "0; copy with type: ipsec")
	case t.IPsec != nil && t.Dataplane == Userspace:
		f.Get("dscp").Wrong("IPsec in user space does not copy the DSCP of what is in it", "0; copy with the kernel's dataplane")
	}
}

const endAccepted = "an IPv4 or IPv6 address of a host"

// end is the address of an end, as it is written in packets.
func (d *decoder) end(v strict.Value) netip.Addr {
	a := v.Addr()
	if a.IsValid() && (a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})) {
		v.Refuse(endAccepted + ", without a zone")
		return netip.Addr{}
	}
	return a
}

// members holds the names of the interfaces that t's members have, beside the
// others: member N has interface-N.
func (d *decoder) members(f strict.Fields, t Tunnel) {
	at := f.Get("interface")
	if t.Interface == "" {
		return
	}
	if t.Interface == "lo" || t.Interface == making {
		at.Wrong("interface "+t.Interface+" is not a tunnel's", "a name that no interface has")
	}
	if t.Interface == t.Device {
		at.Wrong("interface and device are both "+t.Device, "another name than the device's: the tunnel's end is made beside it")
	}
	last := t.MemberInterface(t.Count - 1)
	if over := len(last) - maxInterface; over > 0 {
		at.Wrong(fmt.Sprintf("interface %s has %d octets, and count: %d has interfaces up to %s", t.Interface, len(t.Interface), t.Count, last),
			fmt.Sprintf("up to %d octets", len(t.Interface)-over))
	}
	for n := range t.Count {
		d.unique("interface", t.MemberInterface(n), at)
	}
}

// sizes holds MTU and MSS against each other and against the addresses.
func (d *decoder) sizes(f strict.Fields, t Tunnel) {
	if t.carries6() && t.MTU < minMTU6 {
		f.Get("mtu").Wrong(fmt.Sprintf("mtu %d is too small for IPv6, which the tunnel carries", t.MTU), fmt.Sprintf("%d to 65535", minMTU6))
	}
	// IPv4 and TCP without options.
	if most := t.MTU - 40; t.MSS != 0 && t.MSS > most {
		f.Get("mss").Wrong(fmt.Sprintf("mss %d is more than mtu %d leaves", t.MSS, t.MTU), fmt.Sprintf("up to %d, or 0 for none", most))
	}
	if len(t.Protect) == 0 && t.Must {
		f.Of().Wrong("tunnel "+t.Name+" protects nothing: without protect nothing is routed into it", "protect: a list of networks as 10.20.0.0/16; or secure: should")
	}
}

// transport is t in transport mode, where the kernel encrypts what the two hosts
// send each other: nothing is routed, and no interface is there.
func (d *decoder) transport(f strict.Fields, t Tunnel) Tunnel {
	for _, key := range []string{"interface", "addresses", "mtu", "mss", "probe"} {
		f.Get(key).Wrong(key+" does not go with mode: transport, which has no interface", "leave it out")
	}
	if t.Count != 1 {
		f.Get("count").Wrong("count does not go with mode: transport", "leave it out")
	}
	t.Count, t.Addresses, t.Probe, t.FitMTU, t.FitMSS = 1, nil, nil, false, false
	if !t.Remote.IsValid() {
		return t
	}
	own := netip.PrefixFrom(t.Remote, t.Remote.BitLen())
	if t.Protect != nil && (len(t.Protect) != 1 || t.Protect[0] != own) {
		f.Get("protect").Wrong("transport mode protects what goes to and comes from remote, and nothing else", "leave it out, or ["+own.String()+"]")
	}
	t.Protect = []netip.Prefix{own}
	return t
}

func (d *decoder) probe(v strict.Value, t Tunnel) *Probe {
	if !v.Given() {
		return nil
	}
	const accepted = "an address inside the tunnel that answers pings"
	f := v.Fields("probe", "address", "interval", "lost")
	p := &Probe{
		Address:  f.Need("address", accepted).Addr(),
		Interval: f.Get("interval").Duration(time.Second),
		Lost:     int(f.Get("lost").Int(3, 1, 100)),
	}
	if p.Address == t.Remote && p.Address.IsValid() || p.Address.IsMulticast() || p.Address.IsUnspecified() {
		f.Get("address").Wrong(fmt.Sprintf("probe to %s does not go through the tunnel", p.Address), accepted)
	}
	if p.Interval < 100*time.Millisecond || p.Interval > time.Minute {
		f.Get("interval").Wrong("interval "+strict.FormatDuration(p.Interval), "100ms to 1m")
	}
	return p
}

// seconds reports a duration that is not in whole seconds, or out of bounds.
func seconds(v strict.Value, d, least, most time.Duration) {
	if d < least || d > most || d%time.Second != 0 {
		v.Wrong(v.Name()+" "+strict.FormatDuration(d), fmt.Sprintf("whole seconds, %d to %ds", int(least.Seconds()), int(most.Seconds())))
	}
}

// words are a list of scalars.
func (d *decoder) words(v strict.Value, one string) (out []string) {
	if !v.Given() {
		return nil
	}
	out = []string{}
	for _, e := range v.List(one, "a list of "+one+"s") {
		if s := d.text(e, "", one, func(s string) bool { return !strings.ContainsAny(s, " ,") }); s != "" {
			out = append(out, s)
		}
	}
	return out
}
