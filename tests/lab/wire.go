package lab

import (
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Wire counts the frames that pass an appliance's port, both directions, by
// what they are.
type Wire struct {
	file *os.File
	done chan struct{}

	mu sync.Mutex
	n  WireCount
	// last clear frame seen
	clear []byte
}

// WireCount is frames by kind.
type WireCount struct {
	MACsec, MKA, Clear uint64
}

// WatchWire begins to count at the port of a.
func WatchWire(a *Appliance) (*Wire, error) {
	w := &Wire{done: make(chan struct{})}
	err := a.NS.Do(func() error {
		ifi, err := net.InterfaceByName(Device)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
			unix.Close(fd)
			return err
		}
		all := uint16(unix.ETH_P_ALL)
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: ifi.Index}); err != nil {
			unix.Close(fd)
			return err
		}
		w.file = os.NewFile(uintptr(fd), "packet")
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("watching the wire at %s: %w", a.Name, err)
	}
	go w.count()
	return w, nil
}

func (w *Wire) count() {
	defer close(w.done)
	buf := make([]byte, 65536)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return
		}
		if n < 14 {
			continue
		}
		w.mu.Lock()
		switch uint16(buf[12])<<8 | uint16(buf[13]) {
		case 0x88e5:
			w.n.MACsec++
		case 0x888e:
			w.n.MKA++
		default:
			w.n.Clear++
			w.clear = append(w.clear[:0], buf[:min(n, 64)]...)
		}
		w.mu.Unlock()
	}
}

// LastClear is the head of the last clear frame, for an error's sake.
func (w *Wire) LastClear() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]byte(nil), w.clear...)
}

// Count is the frames so far.
func (w *Wire) Count() WireCount {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// Close stops counting.
func (w *Wire) Close() error {
	err := w.file.Close()
	<-w.done
	return err
}
