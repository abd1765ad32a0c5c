package link

import (
	"errors"
	"fmt"

	mnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The kinds of interface that Create makes.
const (
	KindWireGuard = "wireguard"
	KindXFRM      = "xfrm"
)

// The attributes of an XFRM interface (include/uapi/linux/if_link.h), of 32 bits
// in host byte order.
const (
	iflaXfrmLink = 1
	iflaXfrmIfID = 2
)

// IFLA_INET6_ADDR_GEN_MODE and IN6_ADDR_GEN_MODE_NONE (if_link.h), of 8 bits.
const (
	iflaInet6AddrGenMode = 8
	addrGenModeNone      = 1
)

// CreateWireGuard makes a WireGuard interface without key and peers, down. An
// interface of that name is an error (EEXIST).
func (h *Handle) CreateWireGuard(name string) error {
	return h.create(name, KindWireGuard, "a kernel with CONFIG_WIREGUARD", nil)
}

// CreateXFRM makes an XFRM interface on the interface with index parent, down:
// what the kernel's IPsec policies and SAs with that if_id, which is not 0, are
// for. An interface of that name, or one of that if_id, is an error (EEXIST).
//
// It has no link-local address of IPv6, as a WireGuard interface has none: where
// no policy takes IPv6, what the kernel says from it would be counted as lost. A
// kernel without IPv6 has none anyway.
func (h *Handle) CreateXFRM(name string, parent int, ifID uint32) error {
	err := h.create(name, KindXFRM, "a kernel with CONFIG_XFRM_INTERFACE", func(ae *mnl.AttributeEncoder) error {
		ae.Uint32(iflaXfrmLink, uint32(parent))
		ae.Uint32(iflaXfrmIfID, ifID)
		return nil
	})
	if err != nil {
		return err
	}
	l, err := h.ByName(name)
	if err != nil {
		return err
	}
	err = h.set(info{index: l.Index}, "take no link-local address", func(ae *mnl.AttributeEncoder) {
		ae.Nested(unix.IFLA_AF_SPEC, func(ae *mnl.AttributeEncoder) error {
			ae.Nested(unix.AF_INET6, func(ae *mnl.AttributeEncoder) error {
				ae.Uint8(iflaInet6AddrGenMode, addrGenModeNone)
				return nil
			})
			return nil
		})
	})
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil
	}
	return err
}

func (h *Handle) create(name, kind, needs string, data func(*mnl.AttributeEncoder) error) error {
	_, err := h.execute(unix.RTM_NEWLINK, mnl.Acknowledge|mnl.Create|mnl.Excl, info{}, func(ae *mnl.AttributeEncoder) {
		ae.String(unix.IFLA_IFNAME, name)
		ae.Nested(unix.IFLA_LINKINFO, func(ae *mnl.AttributeEncoder) error {
			ae.String(unix.IFLA_INFO_KIND, kind)
			if data != nil {
				ae.Nested(unix.IFLA_INFO_DATA, data)
			}
			return nil
		})
	})
	if err == nil {
		return nil
	}
	remedy := ""
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		remedy = "; use " + needs
	case errors.Is(err, unix.EEXIST):
		remedy = "; ip link shows the interface that is there"
	case errors.Is(err, unix.EPERM):
		return fail(name, "create, of kind "+kind, err)
	}
	return fmt.Errorf("link %s: create, of kind %s: %w%s", name, kind, err, remedy)
}
