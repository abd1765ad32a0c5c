package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Addresses lists an interface's IPv4 and IPv6 addresses with their prefix
// lengths, link-local ones included, in the kernel's order.
func (h *Handle) Addresses(index int) ([]netip.Prefix, error) {
	for range 5 {
		addrs, err := h.nl.AddrList(device(index), netlink.FAMILY_ALL)
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			continue
		}
		if err != nil {
			return nil, fail(h.name(index), "list addresses", err)
		}
		out := make([]netip.Prefix, 0, len(addrs))
		for _, a := range addrs {
			if p, ok := prefix(a.IPNet); ok {
				out = append(out, p)
			}
		}
		return out, nil
	}
	return nil, fail(h.name(index), "list addresses", netlink.ErrDumpInterrupted)
}

// Address is an address of an interface.
type Address struct {
	netip.Prefix
	NoPrefixRoute bool // its network has no route by itself
}

// AllAddresses is Addresses of all interfaces, by their index.
func (h *Handle) AllAddresses() (map[int][]Address, error) {
	for range 5 {
		addrs, err := h.nl.AddrList(nil, netlink.FAMILY_ALL)
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			continue
		}
		if err != nil {
			return nil, fail("all", "list addresses", err)
		}
		all := make(map[int][]Address)
		for _, a := range addrs {
			if p, ok := prefix(a.IPNet); ok {
				all[a.LinkIndex] = append(all[a.LinkIndex], Address{p, a.Flags&unix.IFA_F_NOPREFIXROUTE != 0})
			}
		}
		return all, nil
	}
	return nil, fail("all", "list addresses", netlink.ErrDumpInterrupted)
}

// ReplaceAddress puts an address on an interface; one that is there is no
// error.
func (h *Handle) ReplaceAddress(index int, p netip.Prefix) error {
	return h.putAddress(index, p, 0)
}

// ReplaceAddressAlone is ReplaceAddress, but its network gets no route.
func (h *Handle) ReplaceAddressAlone(index int, p netip.Prefix) error {
	return h.putAddress(index, p, unix.IFA_F_NOPREFIXROUTE)
}

func (h *Handle) putAddress(index int, p netip.Prefix, flags int) error {
	a, err := address(p)
	if err == nil {
		a.Flags = flags
		err = h.nl.AddrReplace(device(index), a)
	}
	if err != nil {
		return fail(h.name(index), fmt.Sprintf("add address %s", p), err)
	}
	return nil
}

// DeleteAddress takes an address off an interface; an absent one is no error.
func (h *Handle) DeleteAddress(index int, p netip.Prefix) error {
	a, err := address(p)
	if err == nil {
		err = h.nl.AddrDel(device(index), a)
	}
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fail(h.name(index), fmt.Sprintf("delete address %s", p), err)
	}
	return nil
}

// FlushAddresses takes every address off an interface.
func (h *Handle) FlushAddresses(index int) error {
	addrs, err := h.Addresses(index)
	if err != nil {
		return err
	}
	for _, p := range addrs {
		// Deleting an IPv4 primary takes its secondaries along; those are
		// absent then.
		if err := h.DeleteAddress(index, p); err != nil {
			return err
		}
	}
	return nil
}

// device is all that netlink needs of a link to work on its addresses.
func device(index int) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

func address(p netip.Prefix) (*netlink.Addr, error) {
	if !p.IsValid() {
		return nil, errors.New("not an address with a prefix length")
	}
	a := p.Addr().Unmap()
	return &netlink.Addr{IPNet: &net.IPNet{
		IP:   a.AsSlice(),
		Mask: net.CIDRMask(p.Bits(), a.BitLen()),
	}}, nil
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits), ok
}

func ignoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
