package macsec

import (
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

var createRemedies = map[unix.Errno]string{
	unix.EOPNOTSUPP: remedyModule,
	unix.EEXIST:     "a device of that name exists: delete it or choose another name",
	unix.ENODEV:     "the parent is not there",
	unix.EBUSY:      "the parent has a SecY of this SCI, or is a port of a bridge or bond: MACsec goes on the member, under the bond",
	unix.EINVAL:     "the parent is not an Ethernet device, or the kernel is too old for the cipher suite (XPN needs Linux 5.7)",
	unix.ENOENT:     remedyGCM,
}

// CreateDevice makes a MACsec device and returns its ifindex. It is down and
// its MTU is the parent's less 32 (with a 16-octet ICV). EEXIST if there is a
// device of that name.
func (c *Conn) CreateDevice(d Device) (ifindex int, err error) {
	err = d.check()
	if err == nil {
		err = c.link(netlink.Create|netlink.Excl, encodeNewDevice(&d))
	}
	if err == nil {
		ifindex, err = c.indexOf(d.Name)
	}
	if err != nil {
		return 0, newError(d.Name, fmt.Sprintf("create on ifindex %d", d.Parent), err, createRemedies)
	}
	return ifindex, nil
}

// ChangeDevice changes what is not nil in config, all of it at once. A device
// that is not MACsec is refused by the kernel with EOPNOTSUPP.
func (c *Conn) ChangeDevice(ifindex int, config Config) error {
	err := config.check()
	if err == nil {
		// Without CREATE and EXCL it changes; RTM_SETLINK would be accepted
		// and do nothing.
		err = c.link(0, encodeChange(ifindex, &config))
	}
	return c.fail(ifindex, "change", err, nil)
}

// DeleteDevice deletes a MACsec device with all that is in it, addresses and
// routes on it included. ErrNoDevice if it is not there or not MACsec.
func (c *Conn) DeleteDevice(ifindex int) error {
	if _, err := c.Get(ifindex); err != nil {
		return err
	}
	name := c.deviceName(ifindex) // while it has one
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.rtnl.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_DELLINK, Flags: netlink.Request | netlink.Acknowledge},
		Data:   ifInfo(ifindex),
	})
	if err != nil {
		return newError(name, "delete", err, nil)
	}
	return nil
}

func (c *Conn) link(flags netlink.HeaderFlags, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.rtnl.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_NEWLINK, Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   data,
	})
	return err
}

func (c *Conn) indexOf(name string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	msgs, err := c.rtnl.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request},
		Data:   appendAttr(ifInfo(0), unix.IFLA_IFNAME, append([]byte(name), 0)...),
	})
	if err != nil {
		return 0, err
	}
	if len(msgs) != 1 {
		return 0, errors.New("the kernel's answer: not one link")
	}
	return decodeLinkIndex(msgs[0].Data)
}
