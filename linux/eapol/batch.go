package eapol

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxBatch is how many frames one ReadBatch takes at the most.
const maxBatch = 64

// mmsghdr is struct mmsghdr of sys/socket.h.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // octets received
}

// batch is what recvmmsg is given; it is kept, so that a read allocates
// nothing.
type batch struct {
	msgs [maxBatch]mmsghdr
	iovs [maxBatch]unix.Iovec
	want int
	n    int
	err  syscall.Errno
	recv func(fd uintptr) bool
}

// ReadBatch waits for the next frame and takes with it what else is there, up
// to len(frames) and 64: each frame, of MaxFrame octets or more, is cut to what
// it has. It returns how many there are; errors are those of Read. One call
// runs at a time.
func (c *Conn) ReadBatch(frames [][]byte) (int, error) {
	b := &c.batch
	b.want = min(len(frames), maxBatch)
	if b.want == 0 {
		return 0, nil
	}
	for i, f := range frames[:b.want] {
		if len(f) < MaxFrame {
			return 0, &Error{Op: "read", Ifindex: c.ifindex, Err: fmt.Errorf("buffer of %d octets; %d are needed", len(f), MaxFrame)}
		}
		b.iovs[i] = unix.Iovec{Base: unsafe.SliceData(f)}
		b.iovs[i].SetLen(MaxFrame)
		b.msgs[i] = mmsghdr{}
		b.msgs[i].hdr.Iov = &b.iovs[i]
		b.msgs[i].hdr.SetIovlen(1)
	}
	if b.recv == nil {
		b.recv = func(fd uintptr) bool {
			errno := unix.EINTR
			for errno == unix.EINTR {
				var n uintptr
				n, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.msgs[0])), uintptr(b.want), unix.MSG_DONTWAIT, 0, 0)
				b.n, b.err = int(n), errno
			}
			return errno != unix.EAGAIN
		}
	}
	b.err, b.n = 0, 0
	err := c.raw.Read(b.recv)
	clear(b.iovs[:b.want]) // they hold the caller's frames
	var failed error
	if b.err != 0 {
		failed = b.err
	}
	if err := c.outcome("read", err, failed); err != nil {
		return 0, err
	}
	for i := range b.n {
		frames[i] = frames[i][:b.msgs[i].n]
	}
	return b.n, nil
}
