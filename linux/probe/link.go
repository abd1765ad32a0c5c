package probe

import (
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func tryNetNS() (string, error) {
	return "made one", inScratch(func() error { return nil })
}

func tryVeth() (string, error) {
	return "made a pair", inVeth(func(netlink.Link) error { return nil })
}

// tryKind makes a device of a kind that needs no parameters.
func tryKind(kind string) func() (string, error) {
	return func() (string, error) {
		return "made a device", inScratch(func() error {
			la := netlink.NewLinkAttrs()
			la.Name = "probe2"
			return addLink(&netlink.GenericLink{LinkAttrs: la, LinkType: kind})
		})
	}
}

func tryVLAN() (string, error) {
	return "made a device", inVeth(func(a netlink.Link) error {
		la := netlink.NewLinkAttrs()
		la.Name, la.ParentIndex = "probe2", a.Attrs().Index
		return addLink(&netlink.Vlan{LinkAttrs: la, VlanId: 7, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
	})
}

func tryXFRMI() (string, error) {
	return "made a device", inVeth(func(a netlink.Link) error {
		la := netlink.NewLinkAttrs()
		la.Name, la.ParentIndex = "probe2", a.Attrs().Index
		return addLink(&netlink.Xfrmi{LinkAttrs: la, Ifid: 7})
	})
}

func addLink(l netlink.Link) error {
	if err := netlink.LinkAdd(l); err != nil {
		return fmt.Errorf("add a link of type %s: %w", l.Type(), err)
	}
	return nil
}

func tryNetem() (string, error) {
	return "put 1 ms of delay on a device", inVeth(func(a netlink.Link) error {
		q := netlink.NewNetem(netlink.QdiscAttrs{
			LinkIndex: a.Attrs().Index,
			Handle:    netlink.MakeHandle(1, 0),
			Parent:    netlink.HANDLE_ROOT,
		}, netlink.NetemQdiscAttrs{Latency: 1000})
		if err := netlink.QdiscAdd(q); err != nil {
			return fmt.Errorf("add a netem qdisc: %w", err)
		}
		return nil
	})
}

func tryTUN() (string, error) {
	return "made a tap device", inScratch(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: "/dev/net/tun", Err: err}
		}
		defer unix.Close(fd)
		req, err := unix.NewIfreq("probe2")
		if err != nil {
			return err
		}
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			return os.NewSyscallError("TUNSETIFF", err)
		}
		return nil
	})
}
