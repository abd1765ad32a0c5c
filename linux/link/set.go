package link

import (
	"fmt"
	"net"

	mnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// SetUp sets IFF_UP.
func (h *Handle) SetUp(index int) error {
	return h.set(info{index, unix.IFF_UP, unix.IFF_UP}, "set up", nil)
}

// SetDown clears IFF_UP. The kernel then drops the interface's routes and
// IPv6 addresses: a supplicant that closes a port wants ModeDormant.
func (h *Handle) SetDown(index int) error {
	return h.set(info{index, 0, unix.IFF_UP}, "set down", nil)
}

// SetNameAlias renames an interface, which must be down, and gives it an alias
// of up to 255 octets, in one message. Another interface of that name is an
// error (EEXIST), and then neither changes.
func (h *Handle) SetNameAlias(index int, name, alias string) error {
	return h.set(info{index: index}, fmt.Sprintf("set name %q and alias %q", name, alias),
		func(ae *mnl.AttributeEncoder) {
			ae.String(unix.IFLA_IFNAME, name)
			ae.String(unix.IFLA_IFALIAS, alias)
		})
}

// SetAlias gives an interface an alias of up to 255 octets, up or not.
func (h *Handle) SetAlias(index int, alias string) error {
	return h.set(info{index: index}, fmt.Sprintf("set alias %q", alias),
		func(ae *mnl.AttributeEncoder) { ae.String(unix.IFLA_IFALIAS, alias) })
}

// SetMAC sets the MAC address. Not every kind of interface takes one while it
// is up; taps do.
func (h *Handle) SetMAC(index int, mac net.HardwareAddr) error {
	return h.set(info{index: index}, fmt.Sprintf("set mac %s", mac),
		func(ae *mnl.AttributeEncoder) { ae.Bytes(unix.IFLA_ADDRESS, mac) })
}

// SetMTU sets the MTU in octets.
func (h *Handle) SetMTU(index, mtu int) error {
	return h.set(info{index: index}, fmt.Sprintf("set mtu %d", mtu),
		func(ae *mnl.AttributeEncoder) { ae.Uint32(unix.IFLA_MTU, uint32(mtu)) })
}

// SetMode sets the link mode; the operational state follows at the next
// change of carrier.
func (h *Handle) SetMode(index int, m Mode) error {
	return h.set(info{index: index}, fmt.Sprintf("set link mode %s", m),
		func(ae *mnl.AttributeEncoder) { ae.Uint8(unix.IFLA_LINKMODE, uint8(m)) })
}

// SetOperState asks for OperUp or OperDormant. The kernel takes the first
// while the state is DORMANT or UNKNOWN, the second while it is UP or UNKNOWN,
// and ignores either otherwise: without carrier it decides alone.
func (h *Handle) SetOperState(index int, s OperState) error {
	return h.set(info{index: index}, fmt.Sprintf("set operstate %s", s),
		func(ae *mnl.AttributeEncoder) { ae.Uint8(unix.IFLA_OPERSTATE, uint8(s)) })
}

// SetDormant makes the interface wait for its supplicant (ModeDormant, DORMANT
// if it has carrier), or lets it be UP by its carrier again. Addresses and
// routes stay.
func (h *Handle) SetDormant(index int, dormant bool) error {
	mode, state := ModeDefault, OperUp
	if dormant {
		mode, state = ModeDormant, OperDormant
	}
	// One message: the kernel reads the state first, the mode after it, both
	// under one lock.
	return h.set(info{index: index}, fmt.Sprintf("set link mode %s and operstate %s", mode, state),
		func(ae *mnl.AttributeEncoder) {
			ae.Uint8(unix.IFLA_LINKMODE, uint8(mode))
			ae.Uint8(unix.IFLA_OPERSTATE, uint8(state))
		})
}

// Delete deletes a virtual interface. An absent one is no error.
func (h *Handle) Delete(index int) error {
	l, err := h.ByIndex(index)
	if err == nil {
		_, err = h.execute(unix.RTM_DELLINK, mnl.Acknowledge, info{index: index}, nil)
		if err != nil {
			err = fail(l.Name, "delete", err)
		}
	}
	return ignoreNotFound(err)
}

func (h *Handle) set(i info, op string, attrs func(*mnl.AttributeEncoder)) error {
	if _, err := h.execute(unix.RTM_SETLINK, mnl.Acknowledge, i, attrs); err != nil {
		return fail(h.name(i.index), op, err)
	}
	return nil
}

// name is for errors.
func (h *Handle) name(index int) string {
	if l, err := h.ByIndex(index); err == nil {
		return l.Name
	}
	return ifindex(index)
}
