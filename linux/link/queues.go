package link

import (
	"errors"
	"os"
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
	_    [16 - unsafe.Sizeof(uintptr(0))]byte
}

// Queues tells how many queues l uses, as `ethtool -l` does: `ethtool -L`
// changes it, without an event. Of a driver that does not tell, and then changes
// nothing either, it is what l has room for. The error is ErrNotFound.
func (h *Handle) Queues(l Link) (Queues, error) {
	c := channels{command: unix.ETHTOOL_GCHANNELS}
	err := h.ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		defer unix.Close(fd)
		r := ifreq{data: unsafe.Pointer(&c)}
		copy(r.name[:unix.IFNAMSIZ-1], l.Name)
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r))); e != 0 {
			return os.NewSyscallError("SIOCETHTOOL", e)
		}
		return nil
	})
	if errors.Is(err, unix.ENODEV) {
		return Queues{}, fail(l.Name, "count queues", ErrNotFound)
	}
	q := Queues{int(c.rx + c.combined), int(c.tx + c.combined)}
	if err != nil || q.Rx < 1 || q.Tx < 1 {
		q = Queues{max(1, l.RxQueues), max(1, l.TxQueues)}
	}
	return q, nil
}
