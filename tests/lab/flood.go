package lab

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// burst is how many frames of a flood go in one system call.
const burst = 64

// Flood sends copies of frame for that long, perSecond of them in a second, or
// as many as go. change makes copy n what it is to be; it finds it as it was
// left 64 copies before. It returns how many were sent; what a queue had no
// room for is among them. What it could not send in time it leaves out: to catch
// up would fill the cable's queue, which others share.
func (s *Sender) Flood(perSecond int, d time.Duration, frame []byte, change func(n int, copy []byte)) (sent int, err error) {
	to := unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: int32(s.index), Halen: 6}
	var msgs [burst]struct {
		hdr unix.Msghdr
		n   uint32
	}
	var iovs [burst]unix.Iovec
	var frames [burst][]byte
	for i := range frames {
		frames[i] = append([]byte(nil), frame...)
		iovs[i].Base = &frames[i][0]
		iovs[i].SetLen(len(frame))
		msgs[i].hdr.Name, msgs[i].hdr.Namelen = (*byte)(unsafe.Pointer(&to)), unix.SizeofSockaddrLinklayer
		msgs[i].hdr.Iov = &iovs[i]
		msgs[i].hdr.SetIovlen(1)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	start, late := time.Now(), 0
	for since := time.Duration(0); since < d; since = time.Since(start) {
		due := int(since.Seconds()*float64(perSecond)) - late
		if behind := due - sent - burst; behind > 0 {
			late, due = late+behind, due-behind
		}
		if due <= sent {
			<-tick.C
			continue
		}
		n := min(burst, due-sent)
		for i := range frames[:n] {
			change(sent+i, frames[i])
		}
		m, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&msgs[0])), uintptr(n), 0, 0, 0)
		switch errno {
		case 0:
			sent += int(m)
		case unix.ENOBUFS:
			sent++
		case unix.EINTR:
		default:
			return sent, fmt.Errorf("sending frames from %s: %w", s.where, errno)
		}
	}
	return sent, nil
}
