package wireguard

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/linkseal/linkseal/linux/netns"
)

// hosted is a tun that is somebody else's: it says what MTU it was told, and
// nothing of the interface being up or down. A WireGuard that was stopped for
// that would open its sockets again in whatever namespace it is called from.
type hosted struct {
	tun.Device
	mu     sync.Mutex
	mtu    int
	events chan tun.Event
	closed bool
}

func (h *hosted) MTU() (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mtu, nil
}

func (h *hosted) setMTU(mtu int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mtu == mtu || h.closed {
		return
	}
	h.mtu = mtu
	select {
	case h.events <- tun.EventMTUUpdate:
	default: // one is waiting, and asks for the MTU then
	}
}

func (h *hosted) Events() <-chan tun.Event { return h.events }

func (h *hosted) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		close(h.events)
	}
	return h.Device.Close()
}

func host(d tun.Device, mtu int) *hosted {
	return &hosted{Device: d, mtu: mtu, events: make(chan tun.Event, 1)}
}

// patience is how long a tun may be busy: a process that is just being started has
// what its parent had open, for a moment.
const patience = time.Second

// attach opens the persistent tun of that name and index.
func attach(ns *netns.NS, name string, index, mtu int) (h *hosted, err error) {
	err = ns.Do(func() error {
		fd, err := attachFD(name)
		for end := time.Now().Add(patience); errors.Is(err, unix.EBUSY) && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
			fd, err = attachFD(name)
		}
		if err != nil {
			return err
		}
		// TUNSETIFF makes what is not there; it goes again with the descriptor.
		if now, err := indexOf(name); err != nil || now != index {
			unix.Close(fd)
			return fmt.Errorf("%w: it is not the one with index %d any more", errGone, index)
		}
		d, _, err := tun.CreateUnmonitoredTUNFromFD(fd) // closes it with d, or by collection
		if err != nil {
			return err
		}
		h = host(d, mtu)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("tun %s: %w", name, err)
	}
	return h, nil
}

// indexOf asks for one interface; package net would list all, each time.
func indexOf(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err != nil {
		return 0, os.NewSyscallError("SIOCGIFINDEX", err)
	}
	return int(req.Uint32()), nil
}

// attachFD attaches to the tun, with offloads as wireguard-go has them. A device
// with several queues is attached as one.
func attachFD(name string) (int, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return -1, err
	}
	for _, queues := range []uint16{0, unix.IFF_MULTI_QUEUE} {
		var fd int
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return -1, &os.PathError{Op: "open", Path: "/dev/net/tun", Err: err}
		}
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR | queues)
		if err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err == nil {
			return fd, nil
		}
		unix.Close(fd)
		if !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	if errors.Is(err, unix.EBUSY) {
		return -1, fmt.Errorf("%w: another process has it; is another linkseal running?", err)
	}
	return -1, os.NewSyscallError("TUNSETIFF", err)
}

// nowhere is a tun without an interface: nothing comes of it, and what goes in
// is gone.
type nowhere struct{ closed chan struct{} }

func newNowhere() *hosted { return host(&nowhere{make(chan struct{})}, 1280) }

func (n *nowhere) File() *os.File           { return nil }
func (n *nowhere) MTU() (int, error)        { return 1280, nil }
func (n *nowhere) Name() (string, error)    { return "none", nil }
func (n *nowhere) Events() <-chan tun.Event { return nil }
func (n *nowhere) BatchSize() int           { return 1 }

func (n *nowhere) Read([][]byte, []int, int) (int, error) {
	<-n.closed
	return 0, os.ErrClosed
}

func (n *nowhere) Write(packets [][]byte, _ int) (int, error) { return len(packets), nil }

func (n *nowhere) Close() error {
	select {
	case <-n.closed:
	default:
		close(n.closed)
	}
	return nil
}
