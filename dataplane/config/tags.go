package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// TagRule is one of a port's tags: which frames of the secured interface are of
// its class, and what is set on them. An absent field matches every frame.
type TagRule struct {
	Name      string // of the class
	Direction string // TagEgress, TagIngress, TagBoth
	STag      uint16 // VID; 0: absent
	CTag      uint16 // VID; 0: absent
	DSCP      int    // -1: absent
	// Prefix has the address at the far end; the zero Prefix is absent.
	Prefix   netip.Prefix
	Protocol int    // IP protocol number; -1: absent
	Port     uint16 // of either end; 0: absent
	// Mark replaces the bits of skb->mark that are in Mask; Mask 0: none.
	Mark, Mask uint32
	Priority   int64 // skb->priority; -1: it stays
	SetDSCP    int   // -1: it stays
}

// The directions of a TagRule.
const (
	TagEgress  = "egress"
	TagIngress = "ingress"
	TagBoth    = "both"
)

const (
	maxTagRules = 64 // of bpf, which a test holds
	maxVID      = 4094
	maxDSCP     = 63
	maxProtocol = 254
	// OtherClass is the class of frames that no rule matches.
	OtherClass = "other"
)

// tagProtocols are IP protocols by name.
var tagProtocols = map[string]int{"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "icmpv6": 58, "sctp": 132}

// withPorts are the protocols that have ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
var withPorts = []int{6, 17, 33, 132, 136}

// tags is nil if they are absent, else not nil: a list without rules counts.
func (d *decoder) tags(v strict.Value) []TagRule {
	if !v.Given() {
		return nil
	}
	rules := []TagRule{}
	list := v.List("a rule", fmt.Sprintf("a list of up to %d rules", maxTagRules))
	if len(list) > maxTagRules {
		list[maxTagRules].Wrong(fmt.Sprintf("tags has %d rules", len(list)), fmt.Sprintf("up to %d", maxTagRules))
		list = list[:maxTagRules]
	}
	for i, one := range list {
		r := d.tagRule(fmt.Sprintf("rule %d", i+1), one)
		if r.Name != "" && slices.ContainsFunc(rules, func(o TagRule) bool { return o.Name == r.Name }) {
			one.Wrong("the name "+r.Name+" is in the list twice", "each once")
			continue
		}
		rules = append(rules, r)
	}
	return rules
}

func (d *decoder) tagRule(what string, v strict.Value) TagRule {
	f := v.Fields(what, "name", "direction", "s_tag", "c_tag", "dscp", "prefix", "protocol", "port", "set")
	r := TagRule{
		Name:      d.name(f.Need("name", nameAccepted)),
		Direction: f.Get("direction").OneOf(TagEgress, TagEgress, TagIngress, TagBoth),
		STag:      uint16(f.Get("s_tag").Int(0, 1, maxVID)),
		CTag:      uint16(f.Get("c_tag").Int(0, 1, maxVID)),
		DSCP:      int(f.Get("dscp").Int(-1, 0, maxDSCP)),
		Prefix:    network(f.Get("prefix")),
		Protocol:  ipProtocol(f.Get("protocol")),
		Port:      uint16(f.Get("port").Int(0, 1, math.MaxUint16)),
	}
	if r.Name == OtherClass {
		f.Get("name").Wrong("other is the class of frames that no rule matches", "another name")
	}
	if r.Port != 0 && r.Protocol >= 0 && !slices.Contains(withPorts, r.Protocol) {
		f.Get("port").Wrong(fmt.Sprintf("protocol %s has no ports", protocolName(r.Protocol)), "tcp, udp, sctp, 33 or 136, or no protocol for all of them")
	}
	set := f.Get("set").Fields("set", "mark", "priority", "dscp")
	r.Mark, r.Mask = mark(set.Get("mark"))
	r.Priority = set.Get("priority").Int(-1, 0, math.MaxUint32)
	r.SetDSCP = int(set.Get("dscp").Int(-1, 0, maxDSCP))
	return r
}

// network is a prefix without host bits; zero if absent or refused.
func network(v strict.Value) netip.Prefix {
	const accepted = "a network as 10.20.0.0/16 or 2001:db8::/32"
	s, ok := v.Text(accepted)
	if !ok {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p != p.Masked() || p.Addr().Is4In6() {
		v.Refuse(accepted)
		return netip.Prefix{}
	}
	return p
}

// ipProtocol is a protocol by its name or number; -1 if absent or refused.
func ipProtocol(v strict.Value) int {
	const accepted = "tcp, udp, icmp, icmpv6, esp, gre, sctp, or a number from 0 to 254"
	s, ok := v.Text(accepted)
	if !ok {
		return -1
	}
	if n, named := tagProtocols[s]; named {
		return n
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n > maxProtocol {
		v.Refuse(accepted)
		return -1
	}
	return int(n)
}

func protocolName(n int) string {
	for name, is := range tagProtocols {
		if is == n {
			return name
		}
	}
	return strconv.Itoa(n)
}

// mark is a firewall mark as ip rule takes it: a number, decimal or hex, and
// which of its bits are set; without a mask all are. 0, 0 if absent or refused, as
// 010 is: to ip rule that is octal.
func mark(v strict.Value) (value, mask uint32) {
	const accepted = "a mark as 0x10, or with a mask as 0x10/0xff, up to 32 bits, none outside the mask; decimal without leading zeros"
	s, ok := v.Text(accepted)
	if !ok {
		return 0, 0
	}
	one, rest, masked := strings.Cut(s, "/")
	if !masked {
		rest = "0xffffffff"
	}
	number := func(s string) (uint32, bool) {
		base := 10
		if digits, hex := strings.CutPrefix(s, "0x"); hex {
			s, base = digits, 16
		} else if len(s) > 1 && s[0] == '0' {
			return 0, false
		}
		n, err := strconv.ParseUint(s, base, 32)
		return uint32(n), err == nil
	}
	value, good := number(one)
	mask, also := number(rest)
	if !good || !also || mask == 0 || value&^mask != 0 {
		v.Refuse(accepted)
		return 0, 0
	}
	return value, mask
}

// tags writes a list of rules, one a line.
func (w *writer) tags(rules []TagRule) {
	if rules == nil {
		return
	}
	if len(rules) == 0 {
		w.line(2, "tags: []")
		return
	}
	w.line(2, "tags:")
	for _, r := range rules {
		w.line(3, "- {%s}", strings.Join(r.words(), ", "))
	}
}

// words are the keys of r with their values; of those that are absent none.
func (r TagRule) words() []string {
	words := []string{"name: " + quote(r.Name), "direction: " + r.Direction}
	number := func(key string, n int64, given bool) {
		if given {
			words = append(words, fmt.Sprintf("%s: %d", key, n))
		}
	}
	number("s_tag", int64(r.STag), r.STag != 0)
	number("c_tag", int64(r.CTag), r.CTag != 0)
	number("dscp", int64(r.DSCP), r.DSCP >= 0)
	if r.Prefix.IsValid() {
		words = append(words, "prefix: "+prefix(r.Prefix))
	}
	if r.Protocol >= 0 {
		words = append(words, "protocol: "+protocolName(r.Protocol))
	}
	number("port", int64(r.Port), r.Port != 0)
	if r.Mask == 0 && r.Priority < 0 && r.SetDSCP < 0 {
		return words
	}
	match := words
	words = nil
	if r.Mask != 0 {
		words = append(words, fmt.Sprintf("mark: 0x%x/0x%x", r.Mark, r.Mask))
	}
	number("priority", r.Priority, r.Priority >= 0)
	number("dscp", int64(r.SetDSCP), r.SetDSCP >= 0)
	return append(match, "set: {"+strings.Join(words, ", ")+"}")
}
