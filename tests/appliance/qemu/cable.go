package qemu

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// held is how many frames a cable holds of which the far end has not taken any.
	held = 1024
	// stale is how long it holds one: an emulated machine on a busy host takes its time,
	// and one that boots finds none of before.
	stale = 5 * time.Second
)

type frame struct {
	since time.Time
	data  []byte
}

// carry takes frames at the socket in, whose path it returns, and brings them to the one
// out. It always takes them: QEMU, whose far end takes none, tries that very frame again
// and again, and its machine stands still for it. What nobody takes is lost, as on
// a cable.
func carry(ctx context.Context, in, out string) (string, error) {
	os.Remove(in)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: in, Net: "unixgram"})
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	frames := make(chan frame, held)
	go func() {
		defer close(frames)
		b := make([]byte, 1<<16)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return // it is closed
			}
			select {
			case frames <- frame{time.Now(), append([]byte(nil), b[:n]...)}:
			default:
			}
		}
	}()
	raw, err := conn.SyscallConn()
	if err != nil {
		return "", err
	}
	go func() {
		to := &unix.SockaddrUnix{Name: out}
		for f := range frames {
			for {
				var sent error
				if err := raw.Control(func(fd uintptr) { sent = unix.Sendto(int(fd), f.data, unix.MSG_DONTWAIT, to) }); err != nil {
					return
				}
				if !errors.Is(sent, unix.EAGAIN) || time.Since(f.since) > stale {
					break
				}
				time.Sleep(time.Millisecond) // poll(2) does not tell of the far end's room
			}
		}
	}()
	return in, nil
}
