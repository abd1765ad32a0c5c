// Package peercred says who is at the other end of a unix socket (unix(7)), as
// the kernel knows it: what a file's mode can only guess at.
package peercred

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Cred is a process as it was when it connected. What it became since, and to
// whom it gave the connection, is not seen.
type Cred struct {
	UID, GID uint32 // effective
	PID      int32  // 0: it is not in this PID namespace
	Groups   []uint32
}

// InGroup reports whether gid is the primary or a supplementary group.
func (c Cred) InGroup(gid uint32) bool { return c.GID == gid || slices.Contains(c.Groups, gid) }

// maxGroups is NGROUPS_MAX, the most that a process can be in.
const maxGroups = 65536

// Of returns the credentials of the peer of c, a unix stream socket: of who
// connected, or, for who connected, of who listens.
func Of(c *net.UnixConn) (Cred, error) {
	fail := func(err error) (Cred, error) {
		return Cred{}, fmt.Errorf("credentials of a unix socket's peer: %w", err)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return fail(err)
	}
	var peer *unix.Ucred
	var all []uint32
	var asked error
	err = raw.Control(func(fd uintptr) {
		if peer, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); asked == nil {
			all, asked = groups(fd)
		}
	})
	if err = errors.Join(err, asked); err != nil {
		return fail(err)
	}
	return Cred{UID: peer.Uid, GID: peer.Gid, PID: peer.Pid, Groups: all}, nil
}

// groups reads SO_PEERGROUPS (Linux 4.13), for which x/sys has no function. A
// buffer that is too short is ERANGE, with the length that it needs.
func groups(fd uintptr) ([]uint32, error) {
	const size = unsafe.Sizeof(uint32(0))
	for all := make([]uint32, 64); ; {
		length := uint32(len(all)) * uint32(size) // socklen_t, octets
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&all[0])), uintptr(unsafe.Pointer(&length)), 0)
		n := int(length) / int(size)
		switch {
		case errno == 0 && n <= len(all):
			return all[:n], nil
		case errno == unix.ERANGE && n > len(all) && n <= maxGroups:
			all = make([]uint32, n)
		case errno == 0:
			return nil, fmt.Errorf("SO_PEERGROUPS: %d groups in room for %d", n, len(all))
		default:
			return nil, fmt.Errorf("SO_PEERGROUPS: %w", errno)
		}
	}
}
