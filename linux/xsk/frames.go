package xsk

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Buffer returns a buffer for a frame, of Options.Frame octets and more; nil
// if all are in use: then Send, and Wait. It is the same one until Queue.
func (s *Socket) Buffer() []byte {
	if len(s.free) == 0 {
		s.collect()
		if len(s.free) == 0 {
			return nil
		}
	}
	s.at = s.free[len(s.free)-1]
	return s.umem[s.at : s.at+uint64(s.chunk) : s.at+uint64(s.chunk)]
}

// Queue queues octets [offset, offset+n) of the Buffer got last.
func (s *Socket) Queue(offset, n int) {
	if offset < 0 || n < 1 || n > s.chunk-offset {
		panic(fmt.Sprintf("AF_XDP: frame [%d, +%d) is not in its buffer of %d", offset, n, s.chunk))
	}
	s.free = s.free[:len(s.free)-1]
	s.tx.putFrame(s.at+uint64(offset), n)
}

// collect takes the buffers back that were sent.
func (s *Socket) collect() {
	n := s.completion.ready()
	if n == 0 {
		return
	}
	for range n {
		a := s.completion.address()
		s.free = append(s.free, a-a%uint64(s.chunk))
	}
	s.completion.consume()
}

// Send hands what was queued to the kernel. An error leaves it queued: the
// device is down or gone, or busy for long.
func (s *Socket) Send() error {
	s.tx.publish()
	for range s.txFrames {
		before := atomic.LoadUint32(s.tx.consumer)
		if before == s.tx.next || !s.tx.wakeup() {
			break
		}
		// It does not wait, so that the scheduler need not know of it.
		_, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.txFD), 0, 0, unix.MSG_DONTWAIT, 0, 0)
		switch {
		case e == unix.EINTR:
		case e == 0 || e == unix.EAGAIN:
			if atomic.LoadUint32(s.tx.consumer) == before {
				// Zero-copy: the driver has been told, and takes them by
				// itself. Else the queue below is full.
				s.collect()
				return nil
			}
			// EAGAIN: this call's share was sent.
		case e == unix.EBUSY, e == unix.ENOBUFS:
			// The queue below is full. What it holds makes room by itself.
			s.collect()
			return nil
		default:
			return s.fail("send", e)
		}
	}
	s.collect()
	return nil
}

// Pending tells whether frames wait to be taken by the kernel.
func (s *Socket) Pending() bool { return atomic.LoadUint32(s.tx.consumer) != s.tx.next }

// Left is how many frames are queued that the kernel has not taken.
func (s *Socket) Left() int { return int(s.tx.next - atomic.LoadUint32(s.tx.consumer)) }

// WaitSend waits until the kernel may take more, at most for d.
func (s *Socket) WaitSend(d time.Duration) error {
	p := []unix.PollFd{{Fd: int32(s.txFD), Events: unix.POLLOUT}}
	if _, err := unix.Poll(p, int(d.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
		return s.fail("poll", err)
	}
	return nil
}

// Receive fills frames with what has come, DA first without FCS, and returns
// how many. They may be written to, up to their capacity, and are valid until
// Release.
func (s *Socket) Receive(frames [][]byte) int {
	n := min(s.rx.ready(), len(frames))
	for i := range n {
		a, length := s.rx.frame()
		base := a - a%uint64(s.chunk)
		frames[i] = s.umem[a : a+uint64(length) : base+uint64(s.chunk)]
		s.back = append(s.back, base)
	}
	return n
}

// Release gives the frames of Receive back.
func (s *Socket) Release() {
	if len(s.back) == 0 {
		return
	}
	s.rx.consume()
	for _, a := range s.back {
		s.fill.putAddress(a)
	}
	s.back = s.back[:0]
	s.fill.publish()
	if s.fill.wakeup() { // zero-copy: the driver has run out of buffers
		unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	}
}
