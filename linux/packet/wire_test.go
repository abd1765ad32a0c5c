package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/tests/calls"
)

const (
	macsec = 0x88e5
	eapol  = 0x888e
	// long is how long a test waits for what has to come.
	long = 20 * time.Second
)

// testWire is a veth pair of MTU 9000 in a namespace of its own.
type testWire struct {
	ns         *netns.NS
	port, peer netlink.Link
}

func newWire(t testing.TB) *testWire {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.Veth, probe.AFPacket)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	w := &testWire{ns: ns}
	w.do(t, func() (err error) {
		w.port = &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "port", MTU: 9000}, PeerName: "peer", PeerMTU: 9000}
		if err := netlink.LinkAdd(w.port); err != nil {
			return err
		}
		if w.peer, err = netlink.LinkByName("peer"); err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetUp(w.port), netlink.LinkSetUp(w.peer))
	})
	w.carrier(t)
	return w
}

func (w *testWire) do(t testing.TB, f func() error) {
	t.Helper()
	if err := w.ns.Do(f); err != nil {
		t.Fatal(err)
	}
}

// carrier waits until both ends send: what is sent before is lost.
func (w *testWire) carrier(t testing.TB) {
	t.Helper()
	w.do(t, func() error {
		await(t, "the carrier", func() bool {
			for _, name := range []string{"port", "peer"} {
				if l, err := netlink.LinkByName(name); err != nil || l.Attrs().OperState != netlink.OperUp {
					return false
				}
			}
			return true
		})
		return nil
	})
}

func (w *testWire) open(t testing.TB, l netlink.Link, o Options) *Socket {
	t.Helper()
	var s *Socket
	w.do(t, func() (err error) { s, err = Open(l.Attrs().Index, o); return err })
	t.Cleanup(func() { s.Close() })
	return s
}

// station is a blocking packet socket that sends to l and hears one EtherType.
func (w *testWire) station(t testing.TB, l netlink.Link, etherType uint16) int {
	t.Helper()
	fd := -1
	w.do(t, func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(fd) })
		tv := unix.NsecToTimeval(int64(long))
		return errors.Join(
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20),
			unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index, Protocol: etherType<<8 | etherType>>8}))
	})
	return fd
}

// await polls, since nothing tells of a counter.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(long); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s", what)
		}
		unix.Poll(nil, 1)
	}
}

// numbered is a frame of size octets that no other is like.
func numbered(etherType uint16, n, size int) []byte {
	f := make([]byte, size)
	copy(f, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2})
	binary.BigEndian.PutUint16(f[12:], etherType)
	binary.BigEndian.PutUint32(f[14:], uint32(n))
	for i := 18; i < size; i++ {
		f[i] = byte(n*7 + i*i)
	}
	return f
}

func write(t testing.TB, fd int, frame []byte) {
	t.Helper()
	if _, err := unix.Write(fd, frame); err != nil {
		t.Fatal(err)
	}
}

// expect reads a frame from a station.
func expect(t testing.TB, fd int, want []byte) {
	t.Helper()
	buf := make([]byte, 10000)
	n, err := calls.Read(fd, buf)
	if err != nil {
		t.Fatalf("waiting for %.24x: %v", want, err)
	}
	if !bytes.Equal(buf[:n], want) {
		t.Fatalf("the peer has %d octets %.24x, want %d, %.24x", n, buf[:n], len(want), want)
	}
}

// queue queues a frame at an offset; false: no buffer.
func queue(s *Socket, offset int, frame []byte) bool {
	b := s.Buffer()
	if b == nil {
		return false
	}
	s.Queue(offset, copy(b[offset:], frame))
	return true
}

// next waits for one frame.
func next(t testing.TB, s *Socket) []byte {
	t.Helper()
	var frame [1][]byte
	for deadline := time.Now().Add(long); time.Now().Before(deadline); {
		if s.Receive(frame[:]) == 1 {
			return frame[0]
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(s.FD()), Events: unix.POLLIN}}, 1000); err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
	t.Fatal("no frame for the socket")
	return nil
}

// descriptors is how many this process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}
