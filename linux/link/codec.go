package link

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// info is the part of struct ifinfomsg (host byte order) that requests need.
type info struct {
	index         int
	flags, change uint32
}

func (i info) encode(attrs func(*netlink.AttributeEncoder)) ([]byte, error) {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(i.index))
	binary.NativeEndian.PutUint32(b[8:], i.flags)
	binary.NativeEndian.PutUint32(b[12:], i.change)
	if attrs == nil {
		return b, nil
	}
	ae := netlink.NewAttributeEncoder()
	attrs(ae)
	a, err := ae.Encode()
	return append(b, a...), err
}

// The attributes of a tun device (include/uapi/linux/if_link.h), of which
// IFLA_TUN_TYPE is an octet.
const iflaTunType = 3

// iflaVRFTable is a VRF's attribute (include/uapi/linux/if_link.h).
const iflaVRFTable = 1

// decodeKind reads IFLA_LINKINFO. The kernel puts the kind before its data.
func (l *Link) decodeKind(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		switch {
		case ad.Type() == unix.IFLA_INFO_KIND:
			l.Kind = ad.String()
		case ad.Type() == unix.IFLA_INFO_DATA && l.Kind == KindXFRM:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == iflaXfrmIfID {
						l.IfID = ad.Uint32()
					}
				}
				return ad.Err()
			})
		case ad.Type() == unix.IFLA_INFO_DATA && l.Kind == "vrf":
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == iflaVRFTable {
						l.Table = ad.Uint32()
					}
				}
				return ad.Err()
			})
		case ad.Type() == unix.IFLA_INFO_DATA && l.Kind == "tun":
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == iflaTunType {
						l.Tap = ad.Uint8() == unix.IFF_TAP
					}
				}
				return ad.Err()
			})
		}
	}
	return ad.Err()
}

// decodeLink reads an RTM_NEWLINK or RTM_DELLINK. ok is false for a message
// that is about a link's part in a bridge, and not the link.
func decodeLink(b []byte) (l Link, ok bool, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return l, false, fmt.Errorf("link message of %d octets", len(b))
	}
	if b[0] != unix.AF_UNSPEC {
		return l, false, nil
	}
	l.Index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	flags := binary.NativeEndian.Uint32(b[8:])
	l.Up, l.Carrier = flags&unix.IFF_UP != 0, flags&unix.IFF_LOWER_UP != 0
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return l, false, fmt.Errorf("link message: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			l.Name = ad.String()
		case unix.IFLA_IFALIAS:
			l.Alias = ad.String()
		case unix.IFLA_LINK:
			l.Parent = int(ad.Uint32())
		case unix.IFLA_MASTER:
			l.Master = int(ad.Uint32())
		case unix.IFLA_MTU:
			l.MTU = int(ad.Uint32())
		case unix.IFLA_ADDRESS:
			l.MAC = append(net.HardwareAddr(nil), ad.Bytes()...)
		case unix.IFLA_OPERSTATE:
			l.OperState = OperState(ad.Uint8())
		case unix.IFLA_LINKMODE:
			l.Mode = Mode(ad.Uint8())
		case unix.IFLA_PROMISCUITY:
			l.Promiscuous = ad.Uint32() > 0
		case unix.IFLA_NUM_RX_QUEUES:
			l.RxQueues = int(ad.Uint32())
		case unix.IFLA_NUM_TX_QUEUES:
			l.TxQueues = int(ad.Uint32())
		case unix.IFLA_LINKINFO:
			ad.Nested(l.decodeKind)
		}
	}
	if err := ad.Err(); err != nil {
		return l, false, fmt.Errorf("link message: %w", err)
	}
	return l, true, nil
}
