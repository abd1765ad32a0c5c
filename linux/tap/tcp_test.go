package tap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// end is a namespace with a tap that has an address, and its queue.
type end struct {
	ns *netns.NS
	q  *Queue
}

func newEnd(t *testing.T, address string) *end {
	t.Helper()
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	e := &end{ns: ns}
	if err := ns.Do(func() error {
		h, err := link.Open()
		if err != nil {
			return err
		}
		defer h.Close()
		l := made(t, h)
		if err := h.ReplaceAddress(l.Index, netip.MustParsePrefix(address)); err != nil {
			return err
		}
		e.q = opened(t, "tap0", l.Index)
		running(t, h, l.Index)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return e
}

// carry moves packets from one to the other until stop, as they are, and
// returns the longest and how many were segments of TCP joined.
func carry(t *testing.T, from, to *Queue, stop <-chan struct{}) (longest, joined int) {
	b := make([]byte, MaxPacket)
	for {
		n, err := from.Read(b)
		if err != nil {
			t.Error(err)
			return
		}
		if n == 0 {
			select {
			case <-stop:
				return
			default:
			}
			unix.Poll([]unix.PollFd{{Fd: int32(from.FD()), Events: unix.POLLIN}}, 10)
			continue
		}
		longest = max(longest, n)
		// struct virtio_net_hdr: flags, type, then 16 bits each in the
		// machine's order.
		if kind, size := b[1]&0x7f, binary.NativeEndian.Uint16(b[4:]); kind == unix.VIRTIO_NET_HDR_GSO_TCPV4 {
			if joined++; size == 0 || size > 1460 || b[0]&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM == 0 {
				t.Errorf("a joined packet with header %x", b[:HeaderLen])
			}
		}
		if ok, err := to.Write([][]byte{b[:HeaderLen], b[HeaderLen:n]}); !ok || err != nil {
			t.Errorf("write of %d octets: %v, %v", n, ok, err)
			return
		}
	}
}

// A TCP connection hands over packets longer than the MTU, with a checksum yet
// to be made, and takes such.
func TestTCP(t *testing.T) {
	probetest.Need(t, probe.NetNS, probe.Tap)
	west, east := newEnd(t, "192.0.2.1/24"), newEnd(t, "192.0.2.2/24")
	stop := make(chan struct{})
	type count struct{ longest, joined int }
	counts := make(chan count, 2)
	for _, way := range [][2]*Queue{{west.q, east.q}, {east.q, west.q}} {
		go func() {
			l, j := carry(t, way[0], way[1], stop)
			counts <- count{l, j}
		}()
	}
	var listener net.Listener
	if err := east.ns.Do(func() (err error) { listener, err = net.Listen("tcp", "192.0.2.2:7"); return err }); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sent := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{1}).Read(sent)
	done := make(chan error, 1)
	go func() {
		done <- west.ns.Do(func() error {
			c, err := net.DialTimeout("tcp", "192.0.2.2:7", patience)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write(sent)
			return err
		})
	}()
	if err := listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c, err := listener.Accept()
	if err != nil {
		t.Fatal(errors.Join(err, <-done))
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err := errors.Join(err, <-done); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d octets of %d came, %v", len(got), len(sent), err)
	}
	close(stop)
	a, b := <-counts, <-counts
	if longest, joined := max(a.longest, b.longest), max(a.joined, b.joined); joined == 0 || longest < 10_000 || longest > MaxPacket {
		t.Errorf("%d packets were joined, the longest had %d octets", joined, longest)
	}
}
