// Package firewall makes the appliance's packet filter and its networkd files
// out of the configuration. It is pure: Rules and Owned are text, made of
// parsed values only; Apply, which hands them over, is apart, and so is Accepted,
// which remembers what ports were named.
//
// All that comes in is dropped, but what the configuration listens on: tunnels
// and metrics; SSH once a key is provisioned; and what a host needs to live on a
// network. What is forwarded comes from, or goes to, an interface that linkseal
// made. EAPOL of MKA and MACsec frames are not IP and never seen here; what must
// not leave in clear is the daemon's own to enforce (bpf, linux/nft), and this
// table neither replaces nor touches that.
package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/dataplane/config"
)

// Table is the name of the table, of family inet. The one that is there before
// any configuration is read, in /etc/nftables.conf, has it too.
const Table = "linkseal_image"

// Additions is where an operator puts nft files of his own: they are read after
// the table is made, and may add to it.
const Additions = "/etc/linkseal/nftables.d"

// State is what the filter is made of.
type State struct {
	// Config is what runs; nil if there is none, or if it is refused.
	Config *config.Config
	// SSH: there are keys that may log in.
	SSH bool
	// Additions are the operator's files.
	Additions []string
}

// Rules is what nft(8) reads: one transaction that puts the table in the place
// of the one before.
func Rules(s State) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("table inet %s", Table)
	line("delete table inet %s", Table)
	line("table inet %s {", Table)
	line("\tchain input {")
	line("\t\ttype filter hook input priority filter; policy drop;")
	for _, r := range input {
		line("\t\t%s", r)
	}
	if s.SSH {
		line("\t\ttcp dport 22 accept comment \"SSH\"")
	}
	if s.Config != nil {
		for _, r := range listening(s.Config) {
			line("\t\t%s", r)
		}
	}
	line("\t}")
	line("\tchain forward {")
	line("\t\ttype filter hook forward priority filter; policy drop;")
	if s.Config != nil {
		for _, name := range Interfaces(s.Config) {
			// VLAN devices on it are called NAME.TAG.
			for _, n := range []string{name, name + ".*"} {
				line("\t\tiifname %s accept", quoted(n))
				line("\t\toifname %s accept", quoted(n))
			}
		}
	}
	line("\t}")
	line("}")
	for _, path := range s.Additions {
		line("include %s", quoted(path))
	}
	return b.String()
}

// esp is ESP's number: for its name nft would need a file, netbase's /etc/protocols,
// and there is to be a filter whatever files there are.
const esp = 50

// input is what every host needs. /etc/nftables.conf has the same.
var input = []string{
	`iif "lo" accept`,
	`ct state established,related accept`,
	`ct state invalid drop`,
	`icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept`,
	`icmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept`,
	`ip6 hoplimit 255 icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept`,
	`icmpv6 type { mld-listener-query } accept`,
	`udp sport 67 udp dport 68 accept comment "DHCP"`,
	`ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment "DHCPv6"`,
}

// listening is what the configuration listens on.
func listening(c *config.Config) (rules []string) {
	for _, t := range c.Tunnels {
		rules = append(rules, tunnel(t)...)
	}
	if at := c.Metrics; at.IsValid() && !at.Addr().IsLoopback() {
		to := ""
		if !at.Addr().IsUnspecified() {
			to = address("daddr", at.Addr())
		} else if at.Addr().Is4() {
			to = "meta nfproto ipv4 "
		}
		rules = append(rules, fmt.Sprintf("%stcp dport %d accept comment \"metrics\"", to, at.Port()))
	}
	return rules
}

// tunnel is what carries t: to its own end, by its device alone. A WireGuard
// answers to nobody who has not its key, and its peers may move.
func tunnel(t config.Tunnel) (rules []string) {
	where := fmt.Sprintf("iifname %s %s", quoted(t.Device), address("daddr", t.Local))
	switch {
	case t.WireGuard != nil:
		first, last := int(t.WireGuard.Port), int(t.WireGuard.Port)+t.Ports()-1
		ports := fmt.Sprint(first)
		if last > first {
			ports = fmt.Sprintf("%d-%d", first, last)
		}
		rules = append(rules, fmt.Sprintf("%sudp dport %s accept comment %s", where, ports, quoted(t.Name)))
	case t.IPsec != nil:
		from := where + address("saddr", t.Remote)
		rules = append(rules,
			fmt.Sprintf("%sudp dport { 500, 4500 } accept comment %s", from, quoted(t.Name)),
			fmt.Sprintf("%smeta l4proto %d accept comment %s", from, esp, quoted(t.Name)))
	}
	return rules
}

func address(side string, a netip.Addr) string {
	if a.Is4() {
		return fmt.Sprintf("ip %s %s ", side, a)
	}
	return fmt.Sprintf("ip6 %s %s ", side, a)
}

// quoted is a name in nft's quotes. What the configuration takes for a name has
// none of its own; what has does not reach nft.
func quoted(s string) string {
	return `"` + strings.Map(func(r rune) rune {
		if r == '"' || r == '\\' || r < ' ' || r > '~' {
			return '_'
		}
		return r
	}, s) + `"`
}

// Interfaces are those that linkseal makes, each once, in the order of the
// configuration.
func Interfaces(c *config.Config) (names []string) {
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, p := range c.Ports {
		add(p.Interface)
	}
	for _, t := range c.Tunnels {
		if t.Transport() {
			continue
		}
		for n := range t.Count {
			add(t.MemberInterface(n))
		}
	}
	return names
}
