package xsk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/tests/calls"
)

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// testWire is a veth pair in a namespace of its own: sockets are opened on
// port, peer is a packet socket on the other side.
type testWire struct {
	ns   *netns.NS
	port netlink.Link
	peer int
}

func newWire(t testing.TB, mtu int) *testWire {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.Veth, probe.AFPacket, probe.BPF, probe.AFXDP)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	w := &testWire{ns: ns}
	w.do(t, func() error {
		w.port = &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "port", MTU: mtu}, PeerName: "peer", PeerMTU: uint32(mtu)}
		if err := netlink.LinkAdd(w.port); err != nil {
			return err
		}
		peer, err := netlink.LinkByName("peer")
		if err != nil {
			return err
		}
		if err := errors.Join(netlink.LinkSetUp(w.port), netlink.LinkSetUp(peer)); err != nil {
			return err
		}
		if w.peer, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(w.peer) })
		tv := unix.NsecToTimeval(int64(patience))
		return errors.Join(
			unix.SetsockoptTimeval(w.peer, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
			unix.SetsockoptInt(w.peer, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20),
			unix.Bind(w.peer, &unix.SockaddrLinklayer{Ifindex: peer.Attrs().Index, Protocol: 0xe588}))
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

func (w *testWire) index() int { return w.port.Attrs().Index }

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

// open opens a socket on the port.
func (w *testWire) open(t testing.TB, o Options) *Socket {
	t.Helper()
	var s *Socket
	w.do(t, func() (err error) { s, err = Open(w.index(), o); return err })
	t.Cleanup(func() { s.Close() })
	return s
}

// fed is open, with a must filter that hands the port's MACsec to the socket.
func (w *testWire) fed(t testing.TB, o Options) *Socket {
	t.Helper()
	s := w.open(t, o)
	w.do(t, func() error {
		e, err := bpf.Attach(w.index(), bpf.Filter{EtherType: 0x888e})
		if err != nil {
			return err
		}
		t.Cleanup(func() { e.Close() })
		f, err := bpf.OpenSockets(w.index())
		if err != nil {
			return err
		}
		t.Cleanup(func() { f.Close() })
		return f.Put(o.Queue, s.FD())
	})
	return s
}

// await polls, since nothing tells of a ring or of a counter.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s", what)
		}
		unix.Poll(nil, 1)
	}
}

// numbered is a MACsec frame of size octets that no other is like.
func numbered(n, size int) []byte {
	f := make([]byte, size)
	copy(f, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xe5, 0x2c, 0})
	binary.BigEndian.PutUint32(f[16:], uint32(n))
	for i := 20; i < size; i++ {
		f[i] = byte(n*7 + i*i)
	}
	return f
}

// send sends from the peer.
func (w *testWire) send(t testing.TB, frame []byte) {
	t.Helper()
	for {
		_, err := unix.Write(w.peer, frame)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
}

// read reads a frame at the peer.
func (w *testWire) read(p []byte) (n int, err error) { return calls.Read(w.peer, p) }

// expect reads a frame at the peer.
func (w *testWire) expect(t testing.TB, want []byte) {
	t.Helper()
	buf := make([]byte, 2*page)
	n, err := w.read(buf)
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

// sent sends all that is queued.
func sent(t testing.TB, s *Socket) {
	t.Helper()
	await(t, "the frames to be taken", func() bool {
		if err := s.Send(); err != nil {
			t.Fatal(err)
		}
		return !s.Pending()
	})
}

// receive waits for a batch.
func receive(t testing.TB, s *Socket, frames [][]byte) int {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if n := s.Receive(frames); n > 0 {
			return n
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(s.FD()), Events: unix.POLLIN}}, 1000); err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
	t.Fatal("no frame for the socket")
	return 0
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
