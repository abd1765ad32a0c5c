package link

import (
	"encoding/binary"
	"errors"

	mnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Counters are what an interface has counted since it was made, in packets.
type Counters struct {
	RxPackets, TxPackets, RxErrors, TxErrors, RxDropped, TxDropped uint64
}

// Counters reads those of the interface called name; ErrNotFound if there is
// none.
func (h *Handle) Counters(name string) (c Counters, err error) {
	l, err := h.ByName(name)
	if err != nil {
		return c, err
	}
	msgs, err := h.execute(unix.RTM_GETLINK, 0, info{index: l.Index}, nil)
	if err == nil && len(msgs) != 1 {
		err = ErrNotFound
	}
	if err == nil {
		c, err = decodeCounters(msgs[0].Data)
	}
	if err != nil {
		return c, fail(name, "count", err)
	}
	return c, nil
}

// decodeCounters reads IFLA_STATS64 of an RTM_NEWLINK: struct rtnl_link_stats64
// (include/uapi/linux/if_link.h), 8 octets each in host byte order.
func decodeCounters(b []byte) (c Counters, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return c, errors.New("a link message that is too short")
	}
	ad, err := mnl.NewAttributeDecoder(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return c, err
	}
	found := false
	for ad.Next() {
		if s := ad.Bytes(); ad.Type() == unix.IFLA_STATS64 && len(s) >= 64 {
			found = true
			for i, to := range []*uint64{&c.RxPackets, &c.TxPackets, nil, nil, &c.RxErrors, &c.TxErrors, &c.RxDropped, &c.TxDropped} {
				if to != nil {
					*to = binary.NativeEndian.Uint64(s[8*i:])
				}
			}
		}
	}
	if err := ad.Err(); err != nil {
		return c, err
	}
	if !found {
		return c, errors.New("a link message without counters")
	}
	return c, nil
}
