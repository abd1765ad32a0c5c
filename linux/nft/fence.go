package nft

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Fence says which packets leave the machine by some interfaces alone, whatever
// the routes say: those that are forwarded, and those of its own. It is a table
// by itself, "linkseal-fence" of family inet, whose one chain is in the hook
// postrouting. Order and repetitions do not count; a prefix within another is that
// other's.
type Fence struct {
	// Protect are the destinations that are held back.
	Protect []netip.Prefix
	// Pass are the interfaces by which they leave all the same; by lo they always
	// do.
	Pass []string
	// Remotes are addresses to which ESP, and UDP from one of Ports, leaves by any
	// interface: what carries tunnels. So does what the kernel's IPsec is about to
	// encrypt.
	Remotes []netip.Addr
	Ports   []uint16
}

const fenceName = "linkseal-fence"

// fenceChain is the chain's name: a table whose chain has another is another
// version's, and made anew.
const fenceChain = "leave1"

// The sets by name, those of IPv4 without and those of IPv6 with a 6.
const (
	setPass    = "pass"
	setPorts   = "ports"
	setRemotes = "remotes"
	setProtect = "protect"
)

// Octets into the IP header where the destination begins.
const (
	destination4 = 16
	destination6 = 24
	hopLimit6    = 7
)

// chunk is how many elements a message has at most: the list of them is an
// attribute, which has 65535 octets.
const chunk = 1000

// sendBuffer is what a batch may have, in octets: the kernel takes it whole.
const sendBuffer = 8 << 20

// rtXFRM is NFT_RT_XFRM: whether the route of a packet transforms it.
const rtXFRM = 4

func fenceTable() *nftables.Table {
	return &nftables.Table{Name: fenceName, Family: nftables.TableFamilyINet}
}

// family is what differs between IPv4 and IPv6.
type family struct {
	suffix  string
	proto   byte
	offset  uint32
	len     uint32
	keyType nftables.SetDatatype
}

var fenceFamilies = []family{
	{"", unix.NFPROTO_IPV4, destination4, 4, nftables.TypeIPAddr},
	{"6", unix.NFPROTO_IPV6, destination6, 16, nftables.TypeIP6Addr},
}

func (f family) is(a netip.Addr) bool { return a.Is4() == (f.proto == unix.NFPROTO_IPV4) }

// fenceRules are the chain's. With ipsec false there is none of the kernel's
// IPsec, which not every kernel has.
func fenceRules(ipsec bool, counted [2]expr.Counter) (rules [][]expr.Any) {
	const one = 1 // register
	accept, drop := &expr.Verdict{Kind: expr.VerdictAccept}, &expr.Verdict{Kind: expr.VerdictDrop}
	in := func(set string) expr.Any { return &expr.Lookup{SourceRegister: one, SetName: set} }
	is := func(data ...byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: one, Data: data} }
	meta := func(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: one} }
	rules = append(rules, []expr.Any{meta(expr.MetaKeyOIFNAME), in(setPass), accept})
	if ipsec {
		rules = append(rules, []expr.Any{&expr.Rt{Key: rtXFRM, Register: one}, is(1), accept})
	}
	to := func(f family, set string) []expr.Any {
		return []expr.Any{meta(expr.MetaKeyNFPROTO), is(f.proto),
			&expr.Payload{DestRegister: one, Base: expr.PayloadBaseNetworkHeader, Offset: f.offset, Len: f.len}, in(set + f.suffix)}
	}
	for _, f := range fenceFamilies {
		remote := to(f, setRemotes)
		rules = append(rules,
			append(slices.Clone(remote), meta(expr.MetaKeyL4PROTO), is(unix.IPPROTO_ESP), accept),
			append(remote, meta(expr.MetaKeyL4PROTO), is(unix.IPPROTO_UDP),
				&expr.Payload{DestRegister: one, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2}, in(setPorts), accept))
	}
	// What leaves no link is in no tunnel, however wide a protected prefix is.
	for _, p := range onLink {
		rules = append(rules, append(toPrefix(p), accept))
	}
	const neighbours, last = 133, 137 // router solicitation to redirect (RFC 4861), from a hop limit of 255
	rules = append(rules, []expr.Any{meta(expr.MetaKeyL4PROTO), is(unix.IPPROTO_ICMPV6),
		&expr.Payload{DestRegister: one, Base: expr.PayloadBaseNetworkHeader, Offset: hopLimit6, Len: 1}, is(255),
		&expr.Payload{DestRegister: one, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Range{Op: expr.CmpOpEq, Register: one, FromData: []byte{neighbours}, ToData: []byte{last}}, accept})
	for i, f := range fenceFamilies {
		rules = append(rules, append(to(f, setProtect), &counted[i], drop))
	}
	return rules
}

// onLink are destinations that no router forwards (RFC 4291, 5771, 919).
var onLink = []netip.Prefix{netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff02::/16"),
	netip.MustParsePrefix("224.0.0.0/24"), netip.MustParsePrefix("255.255.255.255/32")}

// toPrefix matches what goes there.
func toPrefix(p netip.Prefix) []expr.Any {
	const one = 1 // register
	f := fenceFamilies[0]
	if p.Addr().Is6() {
		f = fenceFamilies[1]
	}
	mask := net.CIDRMask(p.Bits(), p.Addr().BitLen())
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: one}, &expr.Cmp{Op: expr.CmpOpEq, Register: one, Data: []byte{f.proto}},
		&expr.Payload{DestRegister: one, Base: expr.PayloadBaseNetworkHeader, Offset: f.offset, Len: f.len},
		&expr.Bitwise{SourceRegister: one, DestRegister: one, Len: f.len, Mask: mask, Xor: make([]byte, f.len)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: one, Data: p.Addr().AsSlice()}}
}

// fenceSets are the sets with their elements.
func (f Fence) fenceSets(t *nftables.Table) (sets []*nftables.Set, elements [][]nftables.SetElement, err error) {
	add := func(name string, typ nftables.SetDatatype, interval bool, list []nftables.SetElement) {
		order := binaryutil.BigEndian
		if typ == nftables.TypeIFName {
			order = binaryutil.NativeEndian
		}
		sets = append(sets, &nftables.Set{Table: t, Name: name, KeyType: typ, Interval: interval, KeyByteOrder: order})
		elements = append(elements, list)
	}
	var pass, ports []nftables.SetElement
	for _, name := range append(f.sorted().Pass, "lo") {
		if name == "" || len(name) >= unix.IFNAMSIZ {
			return nil, nil, fmt.Errorf("interface %q: a name of 1 to %d octets is accepted", name, unix.IFNAMSIZ-1)
		}
		key := make([]byte, unix.IFNAMSIZ)
		copy(key, name)
		pass = append(pass, nftables.SetElement{Key: key})
	}
	for _, p := range f.sorted().Ports {
		ports = append(ports, nftables.SetElement{Key: []byte{byte(p >> 8), byte(p)}})
	}
	add(setPass, nftables.TypeIFName, false, pass)
	add(setPorts, nftables.TypeInetService, false, ports)
	for _, fam := range fenceFamilies {
		var remotes, protect []nftables.SetElement
		for _, a := range f.sorted().Remotes {
			if fam.is(a) {
				remotes = append(remotes, nftables.SetElement{Key: a.AsSlice()})
			}
		}
		for _, p := range f.sorted().Protect {
			if fam.is(p.Addr()) {
				protect = append(protect, interval(p)...)
			}
		}
		add(setRemotes+fam.suffix, fam.keyType, false, remotes)
		add(setProtect+fam.suffix, fam.keyType, true, protect)
	}
	return sets, elements, nil
}

// SetFence puts f in the place of the fence that there is, at once.
func (h *Handle) SetFence(f Fence) error {
	for _, p := range f.Protect {
		if !p.IsValid() || p.Addr().Is4In6() {
			return failFence("set", fmt.Errorf("%s: a prefix of IPv4 or IPv6 is accepted", p))
		}
	}
	for _, a := range f.Remotes {
		if !a.IsValid() || a.Is4In6() {
			return failFence("set", fmt.Errorf("%s: an address of IPv4 or IPv6 is accepted", a))
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.setFence(f, true)
	if errors.Is(err, unix.EOPNOTSUPP) { // a kernel without IPsec
		err = h.setFence(f, false)
	}
	if err != nil {
		return failFence("set", err)
	}
	return nil
}

func (h *Handle) setFence(f Fence, ipsec bool) error {
	return h.do(func(c *nftables.Conn) error {
		_, counted, _ := readRules(c) // they go on counting
		t := fenceTable()
		sets, elements, err := f.fenceSets(t)
		if err != nil {
			return err
		}
		c.AddTable(t) // so that there is one to delete
		c.DelTable(t)
		c.AddTable(t)
		for i, s := range sets {
			if err := c.AddSet(s, nil); err != nil {
				return err
			}
			for list := range slices.Chunk(elements[i], chunk) {
				if err := c.SetAddElements(s, list); err != nil {
					return err
				}
			}
		}
		chain := c.AddChain(&nftables.Chain{Name: fenceChain, Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityConntrackHelper})
		for _, rule := range fenceRules(ipsec, counted) {
			c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: rule})
		}
		return c.Flush() // all or nothing
	})
}

// RemoveFence takes the fence away; an absent one is no error.
func (h *Handle) RemoveFence() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.do(func(c *nftables.Conn) error {
		c.AddTable(fenceTable())
		c.DelTable(fenceTable())
		return c.Flush()
	})
	if err != nil {
		return failFence("remove", err)
	}
	return nil
}

func failFence(op string, err error) error { return fail("fence", op, err) }

// roomy lets a batch be as large as a fence may be. Without the right to it the
// kernel gives what it may.
func roomy(c *netlink.Conn) error { _ = c.SetWriteBuffer(sendBuffer); return nil }
