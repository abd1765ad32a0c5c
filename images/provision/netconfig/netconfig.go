// Package netconfig makes systemd-networkd's files of cloud-init's
// network-config, versions 1 and 2: Ethernet interfaces by name or MAC address,
// with DHCP, addresses, routes, name servers and MTU. Bonds, bridges and VLANs are
// ignored by name. It is pure, and what it writes is made of parsed values only.
package netconfig

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// maxInterfaces bounds what one file configures.
const maxInterfaces = 64

// reader fills interfaces and notes in the bundle what it ignores.
type reader struct {
	*bundle.Bundle
	file string
	all  []*iface
}

// Read adds to b the files that text, the content of the file called name,
// asks for. The error is strict.Problems.
func Read(b *bundle.Bundle, name, text string) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	d := strict.Parse(name, text, false)
	r := &reader{Bundle: b, file: name}
	top := d.Root().Map("network-config", "a mapping with version: 1 or 2")
	if top.Has("network") {
		top = top.Get("network").Map("network", "a mapping with version: 1 or 2")
	}
	switch version := top.Need("version", "1, 2"); version.OneOf("", "1", "2") {
	case "1":
		r.v1(top)
	case "2":
		r.v2(top)
	}
	if len(r.all) > maxInterfaces {
		top.Of().Wrong(fmt.Sprintf("there are %d interfaces", len(r.all)), fmt.Sprintf("up to %d", maxInterfaces))
	}
	if err := d.Problems().Err(); err != nil {
		return err
	}
	for i, n := range r.all {
		if err := b.Add(fmt.Sprintf("%s/50-provisioned-%02d.network", bundle.Network, i+1), 0, []byte(n.text())); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) ignore(f strict.Fields, key string) {
	if len(key) > 40 || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		key = "a key"
	}
	r.Ignore("%s: %s (line %d)", r.file, key, f.KeyPos(key).Line)
}

// The forms of an interface's name, with networkd's wildcards, and of a domain.
var (
	nameForm   = regexp.MustCompile(`^[A-Za-z0-9_.*?@-]{1,15}$`)
	domainForm = regexp.MustCompile(`^[A-Za-z0-9~]([A-Za-z0-9._-]{0,250})$`)
)

const (
	nameAccepted   = "the name of an interface as eth0 or en*"
	domainAccepted = "a domain as example.com"
)

func matching(v strict.Value, accepted string, form *regexp.Regexp) string {
	s, ok := v.Text(accepted)
	if ok && !form.MatchString(s) {
		v.Refuse(accepted)
		return ""
	}
	return s
}

func mac(v strict.Value) string {
	const accepted = "a MAC address as 52:54:00:12:34:56"
	s, ok := v.Text(accepted)
	if !ok {
		return ""
	}
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		v.Refuse(accepted)
		return ""
	}
	return hw.String()
}

func prefix(v strict.Value) (netip.Prefix, bool) {
	const accepted = "an address with its prefix length as 192.0.2.1/24"
	s, ok := v.Text(accepted)
	if !ok {
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		v.Refuse(accepted)
		return netip.Prefix{}, false
	}
	return p, true
}

// destination is where a route goes: default, 0.0.0.0/0, a network.
func destination(v strict.Value, via netip.Addr) (netip.Prefix, bool) {
	if s, ok := v.Plain(); ok && s == "default" {
		if via.Is6() {
			return netip.PrefixFrom(netip.IPv6Unspecified(), 0), true
		}
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), true
	}
	return prefix(v)
}

// route goes to a network by a router.
type route struct {
	to     netip.Prefix
	via    netip.Addr
	metric int64 // -1: none
}

// iface is one interface.
type iface struct {
	name, mac    string
	dhcp4, dhcp6 bool
	ra           *bool // nil: as networkd does
	mtu          int64
	addresses    []netip.Prefix
	routes       []route
	servers      []netip.Addr
	domains      []string
}

// text is the .network file.
func (n *iface) text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Made of cloud-init's network-config when the appliance was provisioned.")
	line("[Match]")
	if n.name != "" {
		line("Name=%s", n.name)
	}
	if n.mac != "" {
		// What is made on top of the interface has its address too.
		line("MACAddress=%s\nKind=!*\nType=ether", n.mac)
	}
	line("\n[Link]\nRequiredForOnline=no")
	if n.mtu > 0 {
		line("MTUBytes=%d", n.mtu)
	}
	line("\n[Network]\nDHCP=%s", map[[2]bool]string{{true, true}: "yes", {true, false}: "ipv4", {false, true}: "ipv6", {}: "no"}[[2]bool{n.dhcp4, n.dhcp6}])
	if n.ra != nil {
		line("IPv6AcceptRA=%s", map[bool]string{true: "yes", false: "no"}[*n.ra])
	}
	for _, a := range n.addresses {
		line("Address=%s", a)
	}
	for _, s := range n.servers {
		line("DNS=%s", s)
	}
	if len(n.domains) > 0 {
		line("Domains=%s", strings.Join(n.domains, " "))
	}
	if n.dhcp4 {
		line("\n[DHCPv4]\nUseHostname=no")
	}
	for _, r := range n.routes {
		line("\n[Route]\nDestination=%s", r.to)
		if r.via.IsValid() {
			line("Gateway=%s", r.via)
			if !slices.ContainsFunc(n.addresses, func(a netip.Prefix) bool { return a.Masked().Contains(r.via) }) && !n.dhcp4 && !n.dhcp6 {
				line("GatewayOnLink=yes")
			}
		}
		if r.metric >= 0 {
			line("Metric=%d", r.metric)
		}
	}
	return b.String()
}
