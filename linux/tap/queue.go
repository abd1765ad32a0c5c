package tap

import (
	"errors"
	"fmt"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// HeaderLen is struct virtio_net_hdr's, before every frame.
	HeaderLen = 10
	// MaxPacket is the longest that the kernel hands over or takes: header,
	// Ethernet header with two VLAN tags, 65,535 octets of IP.
	MaxPacket = HeaderLen + 22 + 65535
	// maxPieces is UIO_MAXIOV.
	maxPieces = 1024
)

// What the kernel may leave to the reader (TUN_F_* of linux/if_tun.h):
// checksums, and segments of TCP (with ECN) and, from 6.2 on, of UDP.
const (
	tcpOffloads = 0x01 | 0x02 | 0x04 | 0x08 // CSUM, TSO4, TSO6, TSO_ECN
	udpOffloads = 0x20 | 0x40               // USO4, USO6
)

// Queue is one queue of a tap. One goroutine may read and another write.
type Queue struct {
	fd      int
	name    string
	uso     bool
	vectors [maxPieces]unix.Iovec // of Write
}

// Open opens another queue of the persistent tap with that name and index in
// the calling thread's network namespace. The tap has a carrier while a queue
// is open, if SetCarrier does not say otherwise.
func Open(name string, ifindex int) (*Queue, error) {
	q := &Queue{fd: -1, name: name}
	fd, err := attach(name)
	if err != nil {
		return nil, q.fail("open", err)
	}
	q.fd = fd
	// TUNSETIFF makes what is not there; it goes again with the queue.
	if l, err := net.InterfaceByName(name); err != nil || l.Index != ifindex {
		return nil, errors.Join(q.fail("open", fmt.Errorf("it is not the interface with index %d any more", ifindex)), q.Close())
	}
	if err := q.offload(); err != nil {
		return nil, errors.Join(q.fail("set offloads", err), q.Close())
	}
	return q, nil
}

func (q *Queue) offload() error {
	if err := unix.IoctlSetInt(q.fd, unix.TUNSETOFFLOAD, tcpOffloads|udpOffloads); err == nil {
		q.uso = true
		return nil
	}
	return unix.IoctlSetInt(q.fd, unix.TUNSETOFFLOAD, tcpOffloads)
}

// FD is the file descriptor, to poll.
func (q *Queue) FD() int { return q.fd }

// USO tells whether the tap takes UDP segments joined in one packet.
func (q *Queue) USO() bool { return q.uso }

// SetCarrier gives the interface a carrier, or takes it away.
func (q *Queue) SetCarrier(on bool) error {
	v := int32(0)
	if on {
		v = 1
	}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(q.fd), unix.TUNSETCARRIER, uintptr(unsafe.Pointer(&v))); e != 0 {
		return q.fail("set the carrier", e)
	}
	return nil
}

// Read reads one packet, header first, into b, which has MaxPacket octets. It
// does not wait: 0 and no error if there is none, or if the interface is
// down.
func (q *Queue) Read(b []byte) (int, error) {
	for {
		// It does not wait, so that the scheduler need not know of it.
		n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(q.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch e {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN, unix.EIO:
			return 0, nil
		default:
			return 0, q.fail("read", e)
		}
	}
}

// Write writes one packet in pieces, the header first. false: the kernel did
// not take it, since the interface is down or memory is short.
func (q *Queue) Write(pieces [][]byte) (bool, error) {
	n := 0
	for _, p := range pieces {
		if len(p) == 0 {
			continue
		}
		if n == maxPieces {
			return false, q.fail("write", fmt.Errorf("%d pieces; at most %d", len(pieces), maxPieces))
		}
		q.vectors[n].Base = &p[0]
		q.vectors[n].SetLen(len(p))
		n++
	}
	for {
		_, _, e := unix.RawSyscall(unix.SYS_WRITEV, uintptr(q.fd), uintptr(unsafe.Pointer(&q.vectors[0])), uintptr(n))
		switch e {
		case 0:
			return true, nil
		case unix.EINTR:
		case unix.EAGAIN, unix.EIO, unix.ENOMEM, unix.ENOBUFS, unix.EINVAL:
			// EINVAL: a packet that this kernel does not take.
			return false, nil
		default:
			return false, q.fail("write", e)
		}
	}
}

// Close closes the queue. The tap stays, without carrier if it was the last.
func (q *Queue) Close() error {
	if q.fd < 0 {
		return nil
	}
	err := unix.Close(q.fd)
	q.fd = -1
	return err
}

func (q *Queue) fail(op string, err error) error {
	return fmt.Errorf("tap %s: %s: %w%s", q.name, op, err, remedy(err))
}

// attach attaches a new queue to the tap, which does not wait.
func attach(name string) (int, error) {
	fd, err := open()
	if err != nil {
		return -1, err
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(flags)
		err = os.NewSyscallError("TUNSETIFF", unix.IoctlIfreq(fd, unix.TUNSETIFF, req))
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}
