package link

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Queues is how many queues of an interface are in use.
type Queues struct{ Rx, Tx int }

// channels is struct ethtool_channels.
type channels struct {
	command                             uint32
	maxRx, maxTx, maxOther, maxCombined uint32
	rx, tx, other, combined             uint32
}

// ifreq is struct ifreq with a pointer, as SIOCETHTOOL has it.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [24 - unsafe.Sizeof(uintptr(0))]byte
}

// Queues tells how many queues l uses, as `ethtool -l` does: `ethtool -L`
// changes it, without an event. Of a driver that does not tell, and then changes
// nothing either, it is what l has room for.
func (h *Handle) Queues(l Link) (q Queues, err error) {
	err = h.ns.Do(func() error {
		q = CountQueues(l.Name, Queues{l.RxQueues, l.TxQueues})
		return nil
	})
	if err != nil {
		return q, fail(l.Name, "count queues", err)
	}
	return q, nil
}

// CountQueues is Handle.Queues in the calling thread's network namespace, of an
// interface that has room for so many.
func CountQueues(name string, room Queues) Queues {
	room = Queues{max(1, room.Rx), max(1, room.Tx)}
	c := channels{command: unix.ETHTOOL_GCHANNELS}
	err := ethtool(name, unsafe.Pointer(&c))
	q := Queues{int(c.rx + c.combined), int(c.tx + c.combined)}
	if err != nil || q.Rx < 1 || q.Tx < 1 {
		return room
	}
	return q
}
