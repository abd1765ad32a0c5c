package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// xdpFlags are IFLA_XDP_FLAGS by mode.
var xdpFlags = map[Mode]uint32{Native: unix.XDP_FLAGS_DRV_MODE, Generic: unix.XDP_FLAGS_SKB_MODE}

// xdpModes are IFLA_XDP_ATTACHED as modes; another is somebody else's (in the
// NIC, or in several modes).
var xdpModes = map[uint32]Mode{nl.XDP_ATTACHED_DRV: Native, nl.XDP_ATTACHED_SKB: Generic}

// findXDP tells what is at the device's XDP hook. The program is nil and Mode
// 0 if nothing is.
func findXDP(l netlink.Link) (*program, Mode, error) {
	x := l.Attrs().Xdp
	if x == nil || !x.Attached {
		return nil, 0, nil
	}
	mode, known := xdpModes[x.AttachMode]
	if !known {
		return nil, 0, &ForeignError{Device: l.Attrs().Name, Hook: "XDP", ID: x.ProgId, Name: "in the NIC or in several modes"}
	}
	p, name, err := find(ebpf.ProgramID(x.ProgId), portProgLinksealIn)
	if err != nil {
		return nil, 0, err
	}
	if p == nil {
		return nil, 0, &ForeignError{Device: l.Attrs().Name, Hook: "XDP", ID: x.ProgId, Name: name}
	}
	return p, mode, nil
}

// attachXDP puts p at the hook in place of old, or, if that is nil, where
// nothing is: in the driver or else in the stack, unless mode says which.
func attachXDP(l netlink.Link, p, old *program, mode Mode) error {
	if old != nil {
		return setXDP(l, mode, p.FD(), old.FD())
	}
	if mode != 0 {
		return setXDP(l, mode, p.FD(), -1)
	}
	native := setXDP(l, Native, p.FD(), -1)
	if native == nil {
		return nil
	}
	generic := setXDP(l, Generic, p.FD(), -1)
	if generic == nil || errors.Is(native, unix.EEXIST) && errors.Is(generic, unix.EEXIST) {
		return generic
	}
	return fmt.Errorf("%w; %w", native, generic)
}

// setXDP sets or, with fd -1, removes the program. The kernel refuses it if
// what is there is not old, or, with old -1, if anything is.
func setXDP(l netlink.Link, mode Mode, fd, old int) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(l.Attrs().Index)
	req.AddData(msg)
	flags := xdpFlags[mode]
	x := nl.NewRtAttr(unix.IFLA_XDP|unix.NLA_F_NESTED, nil)
	x.AddRtAttr(unix.IFLA_XDP_FD, number(uint32(int32(fd))))
	if old < 0 {
		flags |= unix.XDP_FLAGS_UPDATE_IF_NOEXIST
	} else {
		flags |= unix.XDP_FLAGS_REPLACE
		x.AddRtAttr(unix.IFLA_XDP_EXPECTED_FD, number(uint32(int32(old))))
	}
	x.AddRtAttr(unix.IFLA_XDP_FLAGS, number(flags))
	req.AddData(x)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		if errors.Is(err, unix.EEXIST) { // net/core/dev.c, dev_xdp_attach
			err = fmt.Errorf("%w: while a device upon this one (macvlan, VLAN, MACsec) has an XDP program, XDP here can be neither set nor removed; remove that program", err)
		}
		return fmt.Errorf("%s XDP: %w", mode, remedy(err))
	}
	return nil
}

func number(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
