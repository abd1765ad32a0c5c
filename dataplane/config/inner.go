package config

import (
	"fmt"
	"net/netip"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// Networks that no route leads to: a machine's own, those of its links, and IPv6's
// groups, which the kernel looks up by device before all (its local table).
var unrouted = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

// nowhere tells of a network that is in one of those.
func nowhere(p netip.Prefix) bool {
	for _, q := range unrouted {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// inner holds addresses and probe of a tunnel against the ends of it: what is the
// machine's own is not reached through a tunnel. An address that is local, by
// itself, is accepted: an interface without a number of its own.
func (d *decoder) inner(f strict.Fields, t Tunnel) {
	list := f.Get("addresses").List("address", prefixAccepted)
	at := func(n int) strict.Value {
		if len(list) == len(t.Addresses) {
			return list[n]
		}
		return f.Get("addresses")
	}
	const accepted = "an address of a network of its own, as 169.254.21.2/30"
	for n, a := range t.Addresses {
		for _, r := range t.Remotes() {
			if r == a.Addr() {
				at(n).Wrong(fmt.Sprintf("address %s is remote %s: with it the machine would talk to itself", a, r), accepted)
			}
		}
		if a.Masked().Contains(t.Local) && a.Bits() < a.Addr().BitLen() {
			at(n).Wrong(fmt.Sprintf("the network of address %s has local %s in it: what is beside local would go into the tunnel", a, t.Local), accepted+", or "+t.Local.String()+"/"+itoa(t.Local.BitLen()))
		}
		if q := t.Probe; q != nil && q.Address == a.Addr() {
			f.Get("probe").Wrong(fmt.Sprintf("probe address %s is the tunnel's own", q.Address), "an address of the other end that answers pings")
		}
	}
	if q := t.Probe; q != nil && q.Address.IsValid() && q.Address == t.Local {
		f.Get("probe").Wrong(fmt.Sprintf("probe address %s is local", q.Address), "an address of the other end that answers pings")
	}
}
