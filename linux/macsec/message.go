package macsec

import (
	"encoding/binary"
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	nlmsgHeader = unix.SizeofNlMsghdr
	genlHeader  = 4
)

// appendMessage writes a whole acknowledged generic netlink request: struct
// nlmsghdr, struct genlmsghdr and attrs, whose length is a multiple of 4.
func appendMessage(b []byte, family uint16, cmd uint8, seq, pid uint32, attrs []byte) []byte {
	e := binary.NativeEndian
	b = e.AppendUint32(b, uint32(nlmsgHeader+genlHeader+len(attrs)))
	b = e.AppendUint16(b, family)
	b = e.AppendUint16(b, uint16(netlink.Request|netlink.Acknowledge))
	b = e.AppendUint32(b, seq)
	b = e.AppendUint32(b, pid)
	b = append(b, cmd, familyVersion, 0, 0)
	return append(b, attrs...)
}

var errShortLink = errors.New("link message: short or without a name")

// decodeLinkName reads IFLA_IFNAME of an RTM_NEWLINK.
func decodeLinkName(b []byte) (name string, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return "", errShortLink
	}
	err = each(b[unix.SizeofIfInfomsg:], "link", func(ad *netlink.AttributeDecoder) error {
		if ad.Type() == unix.IFLA_IFNAME {
			name = ad.String()
		}
		return nil
	})
	if err == nil && name == "" {
		err = errShortLink
	}
	return name, err
}

// decodeLinkIndex reads the index of an RTM_NEWLINK.
func decodeLinkIndex(b []byte) (int, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return 0, errShortLink
	}
	return int(int32(binary.NativeEndian.Uint32(b[4:]))), nil
}
