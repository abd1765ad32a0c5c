package netconfig

import (
	"net/netip"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

func (r *reader) v2(top strict.Fields) {
	for _, key := range top.Keys() {
		switch key {
		case "version", "ethernets":
		case "renderer":
			if s, _ := top.Get(key).Plain(); s != "networkd" {
				r.ignore(top, key)
			}
		default:
			r.ignore(top, key)
		}
	}
	all := top.Get("ethernets").Map("ethernets", "a mapping of interfaces")
	for _, id := range all.Keys() {
		r.ethernet(id, all)
	}
}

func (r *reader) ethernet(id string, all strict.Fields) {
	n := &iface{}
	r.all = append(r.all, n)
	f := all.Get(id).Map("an interface", "a mapping with dhcp4 or addresses")
	for _, key := range f.Keys() {
		v := f.Get(key)
		switch key {
		case "match":
			r.match(n, v)
		case "dhcp4":
			n.dhcp4 = truth(v)
		case "dhcp6":
			n.dhcp6 = truth(v)
		case "accept-ra":
			ra := truth(v)
			n.ra = &ra
		case "mtu":
			n.mtu = v.Int(0, 68, 65535)
		case "addresses":
			for _, e := range v.List("an address", "a list of addresses as 192.0.2.1/24") {
				if p, ok := prefix(e); ok {
					n.addresses = append(n.addresses, p)
				}
			}
		case "gateway4", "gateway6":
			n.gateway(v.Addr())
		case "routes":
			r.routes(n, v)
		case "nameservers":
			r.servers(n, v)
		case "optional":
		case "set-name":
			if s, _ := v.Plain(); s != id || f.Has("match") {
				r.ignore(f, key)
			}
		default:
			r.ignore(f, key)
		}
	}
	if n.name == "" && n.mac == "" {
		if !nameForm.MatchString(id) {
			f.Of().Wrong("an interface without match whose id is no interface's name", nameAccepted+", or match with macaddress or name")
			return
		}
		n.name = id
	}
}

func (r *reader) match(n *iface, v strict.Value) {
	f := v.Map("match", "a mapping with macaddress or name")
	for _, key := range f.Keys() {
		switch key {
		case "macaddress":
			n.mac = mac(f.Get(key))
		case "name":
			n.name = matching(f.Get(key), nameAccepted, nameForm)
		default:
			r.ignore(f, key)
		}
	}
	if len(f.Keys()) == 0 {
		v.Wrong("match is empty", "macaddress or name")
	}
}

func (n *iface) gateway(via netip.Addr) {
	if !via.IsValid() {
		return
	}
	to := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if via.Is6() {
		to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	n.routes = append(n.routes, route{to, via, -1})
}

func (r *reader) routes(n *iface, v strict.Value) {
	for _, e := range v.List("a route", "a list of routes, each with to and via") {
		f := e.Map("a route", "a mapping with to and via")
		one := route{metric: -1}
		for _, key := range f.Keys() {
			switch key {
			case "to", "via":
			case "metric":
				one.metric = f.Get(key).Int(-1, 0, 1<<31-1)
			default:
				r.ignore(f, key)
			}
		}
		one.via = f.Need("via", "the router's address").Addr()
		to, ok := destination(f.Need("to", "a network, or default"), one.via)
		if ok && one.via.IsValid() {
			if to.Addr().Is4() != one.via.Is4() {
				e.Wrong("to and via are of two families", "two of IPv4 or of IPv6")
			}
			one.to = to.Masked()
			n.routes = append(n.routes, one)
		}
	}
}

func (r *reader) servers(n *iface, v strict.Value) {
	f := v.Map("nameservers", "a mapping with addresses and search")
	for _, key := range f.Keys() {
		switch key {
		case "addresses":
			for _, e := range f.Get(key).List("a name server", "a list of addresses") {
				if a := e.Addr(); a.IsValid() {
					n.servers = append(n.servers, a)
				}
			}
		case "search":
			for _, e := range f.Get(key).List("a domain", "a list of domains") {
				if s := matching(e, domainAccepted, domainForm); s != "" {
					n.domains = append(n.domains, s)
				}
			}
		default:
			r.ignore(f, key)
		}
	}
}

// truth is YAML's true, in 1.1's words too, which cloud-init takes.
func truth(v strict.Value) bool {
	switch v.OneOf("", "true", "false", "yes", "no", "on", "off", "True", "False") {
	case "true", "yes", "on", "True":
		return true
	}
	return false
}
