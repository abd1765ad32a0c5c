package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

const (
	nameAccepted   = "1 to 63 letters, digits, dots, dashes and underscores, a letter or digit first"
	deviceAccepted = "the name of a network interface: up to 15 octets, no space, slash, colon or percent"
	prefixAccepted = "a list of addresses with prefix length as 192.0.2.1/30"
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func itoa(n int) string { return strconv.Itoa(n) }

// text is a scalar that fits; def if absent or refused.
func (d *decoder) text(v strict.Value, def, accepted string, fits func(string) bool) string {
	s, ok := v.Text(accepted)
	if !ok {
		return def
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) || !fits(s) {
		v.Refuse(accepted)
		return def
	}
	return s
}

func (d *decoder) name(v strict.Value) string {
	return d.text(v, "", nameAccepted, nameForm.MatchString)
}

// device is a name that the kernel gives an interface (dev_valid_name), but
// for all and default, which are sysctl's words for something else.
func (d *decoder) device(v strict.Value) string {
	return d.text(v, "", deviceAccepted, func(s string) bool {
		return len(s) <= 15 && !strings.ContainsAny(s, "/:% ") && s != "." && s != ".." && s != "all" && s != "default" &&
			!strings.ContainsFunc(s, func(r rune) bool { return r > '~' })
	})
}

func (d *decoder) absolute(v strict.Value, def string) string {
	return filepath.Clean(d.text(v, def, "an absolute path", filepath.IsAbs))
}

func (d *decoder) path(v strict.Value) string {
	return d.relative(d.text(v, "", "a path", func(string) bool { return true }))
}

// prefixes are interface addresses (host bits set as they may be), or
// networks if network is set. Nil if absent, else not nil.
func (d *decoder) prefixes(v strict.Value, network bool) []netip.Prefix {
	if !v.Given() {
		return nil
	}
	out := []netip.Prefix{}
	one := "an address with its prefix length as 192.0.2.1/30"
	if network {
		one = "a network as 10.20.0.0/16"
	}
	for _, e := range v.List("address", prefixAccepted) {
		s, ok := e.Text(one)
		if !ok {
			continue
		}
		p, err := netip.ParsePrefix(s)
		a := p.Addr()
		switch {
		case err != nil, a.Is4In6(), network && p != p.Masked(), !network && (a.IsUnspecified() || a.IsMulticast() || p.Bits() == 0):
			e.Refuse(one)
			continue
		case slices.Contains(out, p):
			e.Wrong(fmt.Sprintf("%s is in the list twice", p), "each once")
			continue
		}
		if !network {
			d.unique("address", a.String(), e)
		}
		out = append(out, p)
	}
	return out
}

// mac is a MAC address in colon form.
func (d *decoder) mac(v strict.Value, def MAC) MAC {
	const accepted = "a MAC address as 01:80:c2:00:00:03"
	s, ok := v.Text(accepted)
	if !ok {
		return def
	}
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 || strings.ContainsAny(s, "-.") || MAC(hw) == (MAC{}) {
		v.Refuse(accepted)
		return def
	}
	return MAC(hw)
}

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// taken are EtherTypes that cannot carry EAPOL: what they carry is something
// else, or the filter on the parent could not tell them apart.
var taken = map[uint16]string{
	0x0800: "IPv4", 0x0806: "ARP", 0x86dd: "IPv6", 0x88e5: "MACsec",
	0x8100: "a VLAN tag", 0x88a8: "a VLAN tag", 0x9100: "a VLAN tag", 0x88cc: "LLDP", 0x8809: "slow protocols", 0x88f7: "PTP", 0x8808: "flow control",
}

// etherType is 0x and four hex digits; a decimal number would be read as
// something else than its writer meant.
func (d *decoder) etherType(v strict.Value, def uint16) uint16 {
	const accepted = "an EtherType as 0x888e, from 0x0600"
	s, ok := v.Text(accepted)
	if !ok {
		return def
	}
	digits, hex := strings.CutPrefix(strings.ToLower(s), "0x")
	n, err := strconv.ParseUint(digits, 16, 16)
	switch {
	case !hex || len(digits) != 4 || err != nil || n < 0x600:
		v.Refuse(accepted)
		return def
	case taken[uint16(n)] != "":
		v.Wrong(fmt.Sprintf("ethertype %s is %s", s, taken[uint16(n)]), accepted+", none in use")
		return def
	}
	return uint16(n)
}
