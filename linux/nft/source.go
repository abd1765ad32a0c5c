package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Source says with which address as their source this machine's packets of UDP
// leave that come from the ports First to Last: for a socket that is not bound to
// an address, as WireGuard's. Each is a chain of the table "linkseal-source" of
// family inet, in the hook output, and applies to the packets of Local's family. It
// is before connection tracking, which would take the answers for nobody's.
type Source struct {
	Local       netip.Addr
	First, Last uint16
}

const sourceName = "linkseal-source"

// Octets into the IP header where the source begins, and IPv4's checksum.
const (
	source4   = 12
	source6   = 8
	checksum4 = 10
)

// sourcing is held while the table changes: who takes the last chain away takes the
// table.
var sourcing sync.Mutex

func sourceTable() *nftables.Table {
	return &nftables.Table{Name: sourceName, Family: nftables.TableFamilyINet}
}

// rule is: udp sport FIRST-LAST ip saddr != LOCAL ip saddr set LOCAL. Of the type
// route, the chain has a packet that was changed routed anew.
func (s Source) rule() []expr.Any {
	const one = 1 // register
	proto, at := byte(unix.NFPROTO_IPV4), uint32(source4)
	set := &expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: one, Base: expr.PayloadBaseNetworkHeader, CsumFlags: unix.NFT_PAYLOAD_L4CSUM_PSEUDOHDR}
	if s.Local.Is6() {
		proto, at = unix.NFPROTO_IPV6, source6
	} else {
		set.CsumType, set.CsumOffset = expr.CsumTypeInet, checksum4
	}
	local := s.Local.AsSlice()
	set.Offset, set.Len = at, uint32(len(local))
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: one}, &expr.Cmp{Op: expr.CmpOpEq, Register: one, Data: []byte{proto}},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: one}, &expr.Cmp{Op: expr.CmpOpEq, Register: one, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Payload{DestRegister: one, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
		&expr.Range{Op: expr.CmpOpEq, Register: one, FromData: []byte{byte(s.First >> 8), byte(s.First)}, ToData: []byte{byte(s.Last >> 8), byte(s.Last)}},
		&expr.Payload{DestRegister: one, Base: expr.PayloadBaseNetworkHeader, Offset: at, Len: uint32(len(local))},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: one, Data: local},
		&expr.Immediate{Register: one, Data: local}, set,
	}
}

// SetSource puts s in the place of the one of that name, which is a chain's.
func (h *Handle) SetSource(name string, s Source) error {
	if !s.Local.IsValid() || s.Local.Is4In6() || s.First > s.Last {
		return fail("source", "set "+name, fmt.Errorf("%s, ports %d to %d: an address of IPv4 or IPv6 is accepted, and ports in order", s.Local, s.First, s.Last))
	}
	sourcing.Lock()
	defer sourcing.Unlock()
	err := h.do(func(c *nftables.Conn) error {
		t := c.AddTable(sourceTable())
		chain := c.AddChain(&nftables.Chain{Name: name, Table: t, Type: nftables.ChainTypeRoute, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityRaw})
		c.FlushChain(chain)
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: s.rule()})
		return c.Flush() // all or nothing
	})
	if err != nil {
		return fail("source", "set "+name, err)
	}
	return nil
}

// KeepSources removes all whose names are not among these, as an earlier process
// may have left them.
func (h *Handle) KeepSources(names []string) error {
	var all []*nftables.Chain
	err := h.do(func(c *nftables.Conn) (err error) {
		all, err = c.ListChainsOfTableFamily(nftables.TableFamilyINet)
		return err
	})
	if err != nil {
		return fail("source", "list", err)
	}
	for _, chain := range all {
		if chain.Table.Name == sourceName && !slices.Contains(names, chain.Name) {
			err = errors.Join(err, h.RemoveSource(chain.Name))
		}
	}
	return err
}

// RemoveSource undoes SetSource; what is not set is no error.
func (h *Handle) RemoveSource(name string) error {
	sourcing.Lock()
	defer sourcing.Unlock()
	err := h.do(func(c *nftables.Conn) error {
		chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
		if err != nil {
			return err
		}
		all, there := 0, false
		for _, chain := range chains {
			if chain.Table.Name == sourceName {
				all++
				there = there || chain.Name == name
			}
		}
		switch t := sourceTable(); {
		case !there:
			return nil
		case all == 1:
			c.DelTable(t)
		default:
			chain := &nftables.Chain{Name: name, Table: t}
			c.FlushChain(chain)
			c.DelChain(chain)
		}
		return c.Flush()
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fail("source", "remove "+name, err)
	}
	return nil
}
