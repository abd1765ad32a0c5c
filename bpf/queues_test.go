package bpf

import (
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/link"
)

// channels is struct ethtool_channels, and what `ethtool -L` sets: how many
// queues a veth uses each way.
func (w *testWire) channels(t *testing.T, l netlink.Link, rx, tx uint32) {
	t.Helper()
	w.do(t, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		c := [9]uint32{0: unix.ETHTOOL_SCHANNELS, 5: rx, 6: tx}
		r := struct {
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			_    [16]byte
		}{data: unsafe.Pointer(&c)}
		copy(r.name[:], l.Attrs().Name)
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r))); e != 0 {
			return os.NewSyscallError("ETHTOOL_SCHANNELS", e)
		}
		return nil
	})
}

// A port that is given another queue runs no program for it, if it is a veth:
// the filter does not enforce until it is attached again, and then it drops
// what comes by any queue, and has its counters.
func TestMoreQueues(t *testing.T) {
	w := newWire(t, link.Queues{Rx: 2, Tx: 2})
	w.channels(t, w.peer, 2, 1)
	w.channels(t, w.port, 1, 1)
	e := w.attach(t, plain, modes{in: Native})
	peer := w.station(t, w.peer)
	dropped := func() uint64 {
		c, err := e.Counters()
		if err != nil {
			t.Fatal(err)
		}
		return c.Ingress.Dropped.Packets
	}
	const flows = 64
	rain := func() {
		t.Helper()
		before := dropped()
		for i := range byte(flows) {
			f := make([]byte, 60) // IPv4
			copy(f, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, i, 10, 0, 1, i})
			peer.send(t, f)
		}
		for deadline := time.Now().Add(10 * time.Second); dropped() < before+flows; {
			if time.Now().After(deadline) {
				t.Fatalf("dropped %d of %d", dropped()-before, flows)
			}
		}
	}
	rain()
	w.channels(t, w.port, 2, 1)
	w.channels(t, w.peer, 2, 2)
	if s := w.observe(t); s.Queues != 2 || s.Enforces(plain) {
		t.Errorf("with a queue more the filter enforces: %+v", s)
	}
	w.attach(t, plain, modes{})
	if s := w.observe(t); !s.Enforces(plain) {
		t.Errorf("attached again it does not enforce: %+v", s)
	}
	rain()
}
