package probe

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/genetlink"
	mnl "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// From include/uapi/linux/if_macsec.h; x/sys/unix has the IFLA half only.
const (
	macsecDevice = "probe2"

	cmdAddTXSA     = 4
	attrIfindex    = 1
	attrSAConfig   = 3
	saAN           = 1
	saActive       = 2
	saPN           = 3
	saKey          = 4
	saKeyID        = 5
	cipherGCM128   = 0x0080c20001000001
	cipherXPN256   = 0x0080c20001000004
	probeKeyLength = 16
)

func tryMACsec() (string, error) {
	return "made a device", inVeth(func(a netlink.Link) error {
		_, err := addMACsec(a, cipherGCM128)
		return err
	})
}

func tryMACsecXPN() (string, error) {
	return "made a device with gcm-aes-xpn-256", inVeth(func(a netlink.Link) error {
		if _, err := addMACsec(a, cipherGCM128); err != nil {
			return err
		}
		if err := delMACsec(); err != nil {
			return err
		}
		if _, err := addMACsec(a, cipherXPN256); err != nil {
			return fmt.Errorf("cipher gcm-aes-xpn-256: %w", err)
		}
		return nil
	})
}

// tryMACsecGCM installs an SA: that is when the kernel looks for gcm(aes), and
// says ENOENT if it has none.
func tryMACsecGCM() (string, error) {
	return "installed a transmit SA", inVeth(func(a netlink.Link) error {
		index, err := addMACsec(a, cipherGCM128)
		if err != nil {
			return err
		}
		c, err := genetlink.Dial(nil)
		if err != nil {
			return fmt.Errorf("dial generic netlink: %w", err)
		}
		defer c.Close()
		family, err := c.GetFamily("macsec")
		if err != nil {
			return fmt.Errorf("find the generic netlink family macsec: %w", err)
		}
		ae := mnl.NewAttributeEncoder()
		ae.Uint32(attrIfindex, uint32(index))
		ae.Nested(attrSAConfig, func(n *mnl.AttributeEncoder) error {
			n.Uint8(saAN, 0)
			n.Uint32(saPN, 1)
			n.Bytes(saKey, make([]byte, probeKeyLength))
			n.Bytes(saKeyID, make([]byte, 16))
			n.Uint8(saActive, 1)
			return nil
		})
		data, err := ae.Encode()
		if err != nil {
			return err
		}
		_, err = c.Execute(genetlink.Message{
			Header: genetlink.Header{Command: cmdAddTXSA, Version: family.Version},
			Data:   data,
		}, family.ID, mnl.Request|mnl.Acknowledge)
		if errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("install a transmit SA: the kernel has no gcm(aes): %w", err)
		}
		if err != nil {
			return fmt.Errorf("install a transmit SA: %w", err)
		}
		return nil
	})
}

// addMACsec makes a MACsec device on parent with the cipher suite given and
// returns its index.
func addMACsec(parent netlink.Link, cipher uint64) (int, error) {
	ae := mnl.NewAttributeEncoder()
	ae.String(unix.IFLA_IFNAME, macsecDevice)
	ae.Uint32(unix.IFLA_LINK, uint32(parent.Attrs().Index))
	ae.Nested(unix.IFLA_LINKINFO, func(info *mnl.AttributeEncoder) error {
		info.String(unix.IFLA_INFO_KIND, "macsec")
		info.Nested(unix.IFLA_INFO_DATA, func(d *mnl.AttributeEncoder) error {
			d.Uint64(unix.IFLA_MACSEC_CIPHER_SUITE, cipher)
			// The kernel refuses a suite without the length of its ICV.
			d.Uint8(unix.IFLA_MACSEC_ICV_LEN, 16)
			return nil
		})
		return nil
	})
	if err := routeLink(unix.RTM_NEWLINK, mnl.Create|mnl.Excl, 0, ae); err != nil {
		return 0, fmt.Errorf("add a link of type macsec: %w", err)
	}
	l, err := netlink.LinkByName(macsecDevice)
	if err != nil {
		return 0, fmt.Errorf("find %s: %w", macsecDevice, err)
	}
	return l.Attrs().Index, nil
}

func delMACsec() error {
	l, err := netlink.LinkByName(macsecDevice)
	if err != nil {
		return fmt.Errorf("find %s: %w", macsecDevice, err)
	}
	if err := netlink.LinkDel(l); err != nil {
		return fmt.Errorf("remove %s: %w", macsecDevice, err)
	}
	return nil
}

func routeLink(typ mnl.HeaderType, flags mnl.HeaderFlags, index int, ae *mnl.AttributeEncoder) error {
	attrs, err := ae.Encode()
	if err != nil {
		return err
	}
	c, err := mnl.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return fmt.Errorf("dial rtnetlink: %w", err)
	}
	defer c.Close()
	msg := make([]byte, unix.SizeofIfInfomsg, unix.SizeofIfInfomsg+len(attrs))
	binary.NativeEndian.PutUint32(msg[4:], uint32(index))
	_, err = c.Execute(mnl.Message{
		Header: mnl.Header{Type: typ, Flags: mnl.Request | mnl.Acknowledge | flags},
		Data:   append(msg, attrs...),
	})
	// The caller says what was asked; the kernel's number is all that is left.
	if op := (*mnl.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}
