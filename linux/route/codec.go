package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

var native = binary.NativeEndian

// Attributes of a rule (include/uapi/linux/fib_rules.h) that are no selector.
const (
	fraGoto              = 4
	fraPriority          = 6
	fraSuppressIfgroup   = 13
	fraSuppressPrefixLen = 14
	fraTable             = 15
	fraPad               = 18
	fraL3mdev            = 19
	fraProtocol          = 21
	fraFlow              = 11
	fibRuleInvert        = 0x2
	fibRuleUnresolved    = 0x4 // there is no rule to go to
	actionToTable        = 1   // FR_ACT_TO_TBL
	actionGoto           = 2   // FR_ACT_GOTO
	rtmCloned            = 0x200
	sizeofRtnexthop      = 8
)

// multiple is the gateway of each of several IPv6 nexthops: without one the
// kernel does not take several (rt6_qualify_for_ecmp). The interfaces of tunnels
// have no neighbours to look for (IFF_NOARP), so that any will do.
var multiple = netip.MustParseAddr("fe80::1")

// header is struct rtmsg.
type header struct {
	family                         Family
	dstLen, table, protocol, scope uint8
	typ                            Type
}

func (h header) append(b []byte) []byte {
	const src, tos = 0, 0
	b = append(b, byte(h.family), h.dstLen, src, tos, h.table, h.protocol, h.scope, byte(h.typ))
	return native.AppendUint32(b, 0) // flags
}

// encode is r as RTM_NEWROUTE and RTM_DELROUTE have it. One that is to be
// deleted is named by prefix, type and metric alone.
func (r Route) encode(remove bool) ([]byte, error) {
	if !r.Prefix.IsValid() || r.Prefix.Addr().Is4In6() || r.Table <= 0 {
		return nil, fmt.Errorf("route to %s in table %d: a prefix of IPv4 or IPv6, and a table from 1, are accepted", r.Prefix, r.Table)
	}
	p := r.Prefix.Masked()
	h := header{family: FamilyOf(p.Addr()), dstLen: uint8(p.Bits()), protocol: unix.RTPROT_STATIC, typ: r.Type}
	if r.Table < 256 {
		h.table = uint8(r.Table)
	}
	switch {
	case remove:
		h.scope, h.protocol = unix.RT_SCOPE_NOWHERE, 0
	case h.family == IPv4 && r.Type == Unicast:
		h.scope = unix.RT_SCOPE_LINK
	}
	ae := netlink.NewAttributeEncoder()
	if p.Bits() > 0 {
		ae.Bytes(unix.RTA_DST, p.Addr().AsSlice())
	}
	ae.Uint32(unix.RTA_TABLE, uint32(r.Table))
	if r.Metric > 0 {
		ae.Uint32(unix.RTA_PRIORITY, r.Metric)
	}
	switch n := len(r.Nexthops); {
	case remove || r.Type != Unicast:
	case n == 0:
		return nil, fmt.Errorf("route to %s: a unicast route needs an interface", p)
	case n == 1:
		ae.Uint32(unix.RTA_OIF, uint32(r.Nexthops[0].Index))
	default:
		ae.Bytes(unix.RTA_MULTIPATH, r.multipath(h.family))
	}
	attrs, err := ae.Encode()
	return append(h.append(nil), attrs...), err
}

// multipath is RTA_MULTIPATH: struct rtnexthop and its attributes, one after the
// other.
func (r Route) multipath(f Family) (b []byte) {
	for _, n := range r.Nexthops {
		var gateway []byte
		if f == IPv6 {
			gateway = multiple.AsSlice()
		}
		size := sizeofRtnexthop
		if gateway != nil {
			size += unix.SizeofRtAttr + len(gateway)
		}
		b = native.AppendUint16(b, uint16(size))
		b = append(b, 0, 0) // flags, weight 1
		b = native.AppendUint32(b, uint32(n.Index))
		if gateway != nil {
			b = native.AppendUint16(b, uint16(unix.SizeofRtAttr+len(gateway)))
			b = native.AppendUint16(b, unix.RTA_GATEWAY)
			b = append(b, gateway...)
		}
	}
	return b
}

// decodeRoute reads an RTM_NEWROUTE or RTM_DELROUTE. ok is false for what is no
// route of a table: an entry of a cache, or another family's.
func decodeRoute(b []byte) (r Route, ok bool, err error) {
	if len(b) < unix.SizeofRtMsg {
		return r, false, fmt.Errorf("route message of %d octets", len(b))
	}
	f, flags := Family(b[0]), native.Uint32(b[8:])
	if f != IPv4 && f != IPv6 || flags&rtmCloned != 0 {
		return r, false, nil
	}
	r.Table, r.Type = int(b[4]), Type(b[7])
	bits := int(b[1])
	dst := netip.IPv4Unspecified()
	if f == IPv6 {
		dst = netip.IPv6Unspecified()
	}
	one := Nexthop{Dead: flags&unix.RTNH_F_DEAD != 0}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofRtMsg:])
	if err != nil {
		return r, false, fmt.Errorf("route message: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.RTA_DST:
			a, valid := netip.AddrFromSlice(ad.Bytes())
			if !valid || a.Is4() != (f == IPv4) {
				return r, false, errors.New("route message: a destination of another family")
			}
			dst = a
		case unix.RTA_TABLE:
			r.Table = int(ad.Uint32())
		case unix.RTA_PRIORITY:
			r.Metric = ad.Uint32()
		case unix.RTA_OIF:
			one.Index = int(int32(ad.Uint32()))
		case unix.RTA_GATEWAY:
			one.Gateway, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.RTA_MULTIPATH:
			if r.Nexthops, err = decodeMultipath(ad.Bytes()); err != nil {
				return r, false, err
			}
		}
	}
	if err := ad.Err(); err != nil {
		return r, false, fmt.Errorf("route message: %w", err)
	}
	if r.Prefix = netip.PrefixFrom(dst, bits); !r.Prefix.IsValid() {
		return r, false, fmt.Errorf("route message: %d bits of %s", bits, dst)
	}
	switch {
	case r.Type != Unicast:
		r.Nexthops = nil // of IPv6: lo
	case len(r.Nexthops) == 0 && one.Index > 0:
		r.Nexthops = []Nexthop{one}
	}
	return r, true, nil
}

func decodeMultipath(b []byte) (all []Nexthop, err error) {
	for len(b) >= sizeofRtnexthop {
		size := int(native.Uint16(b))
		if size < sizeofRtnexthop || size > len(b) {
			return nil, fmt.Errorf("route message: a nexthop of %d octets in %d", size, len(b))
		}
		n := Nexthop{Dead: b[2]&unix.RTNH_F_DEAD != 0, Index: int(int32(native.Uint32(b[4:])))}
		ad, err := netlink.NewAttributeDecoder(b[sizeofRtnexthop:size])
		if err != nil {
			return nil, fmt.Errorf("route message: nexthop: %w", err)
		}
		for ad.Next() {
			if ad.Type() == unix.RTA_GATEWAY {
				n.Gateway, _ = netip.AddrFromSlice(ad.Bytes())
			}
		}
		if err := ad.Err(); err != nil {
			return nil, fmt.Errorf("route message: nexthop: %w", err)
		}
		all = append(all, n)
		b = b[min((size+3)&^3, len(b)):]
	}
	return all, nil
}

// encode is a rule without a selector, which looks up a table.
func (r Rule) encode() ([]byte, error) {
	h := header{family: r.Family, typ: actionToTable}
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(fraPriority, r.Priority)
	ae.Uint32(fraTable, uint32(r.Table))
	attrs, err := ae.Encode()
	return append(h.append(nil), attrs...), err
}

// decodeRule reads an RTM_NEWRULE or RTM_DELRULE (struct fib_rule_hdr, which has
// rtmsg's form).
func decodeRule(b []byte) (r Rule, err error) {
	if len(b) < unix.SizeofRtMsg {
		return r, fmt.Errorf("rule message of %d octets", len(b))
	}
	r = Rule{Family: Family(b[0]), Table: int(b[4])}
	r.All = b[1] == 0 && b[2] == 0 && b[3] == 0 && native.Uint32(b[8:])&fibRuleInvert == 0
	toTable, goes := b[7] == actionToTable, b[7] == actionGoto && native.Uint32(b[8:])&fibRuleUnresolved == 0
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofRtMsg:])
	if err != nil {
		return r, fmt.Errorf("rule message: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case fraPriority:
			r.Priority = ad.Uint32()
		case fraTable:
			r.Table = int(ad.Uint32())
		case fraGoto:
			r.Goto = ad.Uint32()
		case fraL3mdev:
			r.L3, r.All = ad.Uint8() != 0, false
		case fraPad, fraProtocol, fraFlow:
		case fraSuppressIfgroup, fraSuppressPrefixLen:
			// It holds back some of what it finds: -1 is none.
			r.All = r.All && ad.Uint32() == 1<<32-1
		default:
			r.All = false
		}
	}
	if !toTable {
		r.Table = 0
	}
	if !goes {
		r.Goto = 0
	}
	if err := ad.Err(); err != nil {
		return r, fmt.Errorf("rule message: %w", err)
	}
	return r, nil
}
