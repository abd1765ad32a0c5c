package packet

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/packet/unbound"
)

// Reception has a device receive frames that are not for its own address: all
// groups, and on demand everything. It ends with the process that holds it.
type Reception struct {
	fd, ifindex int
}

// OpenReception has the device with that index in the calling thread's network
// namespace receive the frames of all groups.
func OpenReception(ifindex int) (*Reception, error) {
	fd, err := unbound.Open(unix.SOCK_RAW) // protocol 0: it receives nothing itself
	if err != nil {
		return nil, fmt.Errorf("packet socket: device %d: %w", ifindex, err)
	}
	r := &Reception{fd, ifindex}
	if err := r.set(unix.PACKET_ADD_MEMBERSHIP, unix.PACKET_MR_ALLMULTI); err != nil {
		return nil, errors.Join(fmt.Errorf("packet socket: device %d: receive all groups: %w", ifindex, err), r.Close())
	}
	return r, nil
}

// SetPromiscuous has the device receive everything, or no more than the groups
// again. It is not idempotent: the kernel counts.
func (r *Reception) SetPromiscuous(on bool) error {
	change := unix.PACKET_DROP_MEMBERSHIP
	if on {
		change = unix.PACKET_ADD_MEMBERSHIP
	}
	if err := r.set(change, unix.PACKET_MR_PROMISC); err != nil {
		return fmt.Errorf("packet socket: device %d: promiscuous %v: %w", r.ifindex, on, err)
	}
	return nil
}

func (r *Reception) set(change, what int) error {
	return unix.SetsockoptPacketMreq(r.fd, unix.SOL_PACKET, change, &unix.PacketMreq{Ifindex: int32(r.ifindex), Type: uint16(what)})
}

// Close ends it.
func (r *Reception) Close() error { return unix.Close(r.fd) }
