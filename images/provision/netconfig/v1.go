package netconfig

import (
	"math/bits"
	"net/netip"
	"strings"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

func (r *reader) v1(top strict.Fields) {
	for _, key := range top.Keys() {
		if key != "version" && key != "config" {
			r.ignore(top, key)
		}
	}
	var servers []netip.Addr
	var domains []string
	for _, e := range top.Need("config", "a list of interfaces").List("an entry", "a list of interfaces") {
		f := e.Map("an entry", "a mapping with type and name")
		switch kind, _ := f.Need("type", "physical, nameserver").Plain(); kind {
		case "physical":
			r.physical(f)
		case "nameserver":
			s, d := r.dns(f, "address", "search")
			servers, domains = append(servers, s...), append(domains, d...)
		default:
			r.Ignore("%s: an entry of a type that is neither physical nor nameserver (line %d)", r.file, e.Pos().Line)
		}
	}
	for _, n := range r.all {
		n.servers, n.domains = append(n.servers, servers...), append(n.domains, domains...)
	}
}

func (r *reader) physical(f strict.Fields) {
	n := &iface{name: matching(f.Need("name", nameAccepted), nameAccepted, nameForm)}
	r.all = append(r.all, n)
	for _, key := range f.Keys() {
		switch v := f.Get(key); key {
		case "type", "name":
		case "mac_address":
			// The name is what cloud-init would give it; the appliance's are
			// predictable ones.
			n.mac, n.name = mac(v), ""
		case "mtu":
			n.mtu = v.Int(0, 68, 65535)
		case "accept-ra":
			ra := truth(v)
			n.ra = &ra
		case "subnets":
			for _, s := range v.List("a subnet", "a list of subnets, each with type") {
				r.subnet(n, s)
			}
		default:
			r.ignore(f, key)
		}
	}
}

func (r *reader) subnet(n *iface, v strict.Value) {
	f := v.Map("a subnet", "a mapping with type")
	switch kind, _ := f.Need("type", "dhcp4, dhcp6, static").Plain(); kind {
	case "dhcp", "dhcp4":
		n.dhcp4 = true
	case "dhcp6", "ipv6_dhcpv6-stateful", "ipv6_dhcpv6-stateless":
		n.dhcp6 = true
	case "manual", "ipv6_slaac":
	case "static", "static6":
		r.static(n, f)
	default:
		r.Ignore("%s: a subnet of an unknown type (line %d)", r.file, v.Pos().Line)
	}
	for _, key := range f.Keys() {
		switch key {
		case "type", "address", "netmask", "gateway", "dns_nameservers", "dns_search", "routes", "control", "ipv4", "ipv6":
		default:
			r.ignore(f, key)
		}
	}
}

func (r *reader) static(n *iface, f strict.Fields) {
	at := f.Need("address", "an address as 192.0.2.1/24")
	text, _ := at.Plain()
	if strings.Contains(text, "/") {
		if p, ok := prefix(at); ok {
			n.addresses = append(n.addresses, p)
		}
	} else if a := at.Addr(); a.IsValid() {
		if length := maskLength(f.Need("netmask", "a mask as 255.255.255.0"), a); length >= 0 {
			n.addresses = append(n.addresses, netip.PrefixFrom(a, length))
		}
	}
	n.gateway(f.Get("gateway").Addr())
	s, d := r.dns(f, "dns_nameservers", "dns_search")
	n.servers, n.domains = append(n.servers, s...), append(n.domains, d...)
	for _, e := range f.Get("routes").List("a route", "a list of routes") {
		route1 := e.Map("a route", "a mapping with network, netmask and gateway")
		to := route1.Need("network", "a network")
		via := route1.Need("gateway", "the router's address").Addr()
		text, _ := to.Plain()
		var p netip.Prefix
		ok := false
		if strings.Contains(text, "/") {
			p, ok = prefix(to)
		} else if a := to.Addr(); a.IsValid() {
			length := maskLength(route1.Need("netmask", "a mask as 255.255.255.0"), a)
			p, ok = netip.PrefixFrom(a, max(length, 0)), length >= 0
		}
		if ok && via.IsValid() && via.Is4() == p.Addr().Is4() {
			n.routes = append(n.routes, route{p.Masked(), via, -1})
		} else if ok && via.IsValid() {
			e.Wrong("network and gateway are of two families", "two of IPv4 or of IPv6")
		}
	}
}

// maskLength is a netmask as a prefix length, or such a length; -1, reported,
// for anything else.
func maskLength(v strict.Value, of netip.Addr) int {
	const accepted = "a mask as 255.255.255.0"
	s, ok := v.Text(accepted)
	if !ok {
		return -1
	}
	if p, err := netip.ParsePrefix(of.String() + "/" + s); err == nil {
		return p.Bits()
	}
	m, err := netip.ParseAddr(s)
	if err != nil || m.BitLen() != of.BitLen() || m.Zone() != "" {
		v.Refuse(accepted)
		return -1
	}
	length, ended := 0, false
	for _, octet := range m.AsSlice() {
		ones := bits.LeadingZeros8(^octet)
		if ended && octet != 0 || octet<<ones != 0 {
			v.Refuse(accepted)
			return -1
		}
		length, ended = length+ones, ended || ones < 8
	}
	return length
}

// dns reads lists of name servers and domains, or one of each.
func (r *reader) dns(f strict.Fields, servers, domains string) (addrs []netip.Addr, names []string) {
	each := func(key, what string, take func(strict.Value)) {
		v := f.Get(key)
		if _, one := v.Plain(); one {
			take(v)
			return
		}
		for _, e := range v.List(what, "a list") {
			take(e)
		}
	}
	each(servers, "a name server", func(v strict.Value) {
		if a := v.Addr(); a.IsValid() {
			addrs = append(addrs, a)
		}
	})
	each(domains, "a domain", func(v strict.Value) {
		if s := matching(v, domainAccepted, domainForm); s != "" {
			names = append(names, s)
		}
	})
	return addrs, names
}
