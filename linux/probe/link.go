package probe

import (
	"fmt"

	"github.com/vishvananda/netlink"
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
