// Package unbound opens packet sockets that are bound to nothing and receive nothing:
// by the broker where the daemon may open none.
package unbound

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/broker"
)

// Open opens a packet socket of protocol 0, in the calling
// thread's network namespace: by the broker if there is one. kind is SOCK_RAW or
// SOCK_DGRAM, with SOCK_NONBLOCK or without.
func Open(kind int) (fd int, err error) {
	if !broker.Configured() {
		return unix.Socket(unix.AF_PACKET, kind|unix.SOCK_CLOEXEC, 0)
	}
	ns, err := namespace()
	if err != nil {
		return -1, err
	}
	fd, _, err = broker.Ask(broker.Request{What: broker.PacketSocket, A: uint32(kind), B: ns})
	return fd, err
}

// Lend is broker.Lend of broker.PacketSocket.
func Lend(kind, ns uint32) (fd int, text string, err error) {
	own, err := namespace()
	if err != nil {
		return -1, "", err
	}
	if ns != own {
		return -1, "", fmt.Errorf("a packet socket in network namespace %d; the broker is in %d, and who asks has to be in the same: %w", ns, own, unix.EXDEV)
	}
	if k := kind &^ unix.SOCK_NONBLOCK; k != unix.SOCK_RAW && k != unix.SOCK_DGRAM {
		return -1, "", fmt.Errorf("a packet socket of kind 0x%x; accepted: SOCK_RAW and SOCK_DGRAM: %w", kind, unix.EINVAL)
	}
	fd, err = unix.Socket(unix.AF_PACKET, int(kind)|unix.SOCK_CLOEXEC, 0)
	return fd, "", os.NewSyscallError("socket", err)
}

// namespace is the inode of the calling thread's.
func namespace() (uint32, error) {
	var s unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &s); err != nil {
		return 0, fmt.Errorf("network namespace: %w", err)
	}
	return uint32(s.Ino), nil
}
