package tap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/tests/calls"
)

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// made makes tap0, up.
func made(t *testing.T, h *link.Handle) link.Link {
	t.Helper()
	if err := Create("tap0"); err != nil {
		t.Fatal(err)
	}
	l, err := h.ByName("tap0")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.DisableIPv6(l.Index), h.SetUp(l.Index)); err != nil {
		t.Fatal(err)
	}
	return l
}

func opened(t *testing.T, name string, index int) *Queue {
	t.Helper()
	q, err := Open(name, index)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

// running waits until the kernel has told itself of the carrier: what is sent
// before is lost.
func running(t *testing.T, h *link.Handle, index int) {
	t.Helper()
	await(t, "the interface to run", func() bool {
		l, err := h.ByIndex(index)
		return err == nil && l.OperState == link.OperUp
	})
}

// await polls, since nothing tells of what is awaited.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s", what)
		}
		unix.Poll(nil, 1)
	}
}

// descriptors is how many this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// Another interface than the one that was meant is refused, and nothing stays
// that was not there.
func TestOpenRefuses(t *testing.T) {
	inNamespace(t, func(h *link.Handle) {
		l := made(t, h)
		before := descriptors(t)
		for _, c := range []struct {
			name  string
			index int
			text  string
		}{
			{"tap0", l.Index + 7, "tap tap0: open: it is not the interface with index "},
			{"tap1", 99, "tap tap1: open: it is not the interface with index 99 any more"},
			{"lo", 1, "tap lo: open: "},
			{strings.Repeat("x", 16), 1, "open: "},
		} {
			if q, err := Open(c.name, c.index); err == nil || q != nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v; want %q in it", c.name, err, c.text)
			}
		}
		if l, err := h.ByName("tap1"); !errors.Is(err, link.ErrNotFound) {
			t.Errorf("tap1 was made: %+v, %v", l, err)
		}
		if l, err := h.ByName("tap0"); err != nil || l.Carrier {
			t.Errorf("tap0: %+v, %v", l, err)
		}
		q := opened(t, "tap0", l.Index)
		for range 2 {
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		}
		if now := descriptors(t); now != before {
			t.Errorf("%d descriptors are open, %d were", now, before)
		}
	})
}

// The carrier follows SetCarrier, and is away while no queue is open.
func TestCarrier(t *testing.T) {
	inNamespace(t, func(h *link.Handle) {
		l := made(t, h)
		is := func(want bool, when string) {
			t.Helper()
			if l, err := h.ByIndex(l.Index); err != nil || l.Carrier != want {
				t.Errorf("%s: carrier %v, %v", when, l.Carrier, err)
			}
		}
		is(false, "no queue")
		a, b := opened(t, "tap0", l.Index), opened(t, "tap0", l.Index)
		is(true, "two queues")
		for _, q := range []*Queue{a, b, a} {
			for _, on := range []bool{false, false, true, true, false} {
				if err := q.SetCarrier(on); err != nil {
					t.Error(err)
				}
				is(on, "set")
			}
			if err := q.SetCarrier(true); err != nil {
				t.Error(err)
			}
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		is(true, "one queue left")
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		is(false, "all closed")
		if err := b.SetCarrier(true); err == nil {
			t.Error("a closed queue set the carrier")
		}
	})
}

// frame is a broadcast of an EtherType for experiments, header first.
func frame(n byte) []byte {
	f := append(make([]byte, HeaderLen), bytes.Repeat([]byte{0xff}, 6)...)
	return append(append(f, 2, 0, 0, 0, 0, 9, 0x88, 0xb5, n), make([]byte, 50)...)
}

// station is a packet socket that receives frames of an EtherType; with 0 none,
// and it sends them as what they are.
func station(t *testing.T, index int, etherType uint16) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	tv := unix.NsecToTimeval(int64(patience))
	if err := errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
		unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index, Protocol: etherType<<8 | etherType>>8})); err != nil {
		t.Fatal(err)
	}
	return fd
}

// Packets pass both ways, in pieces too; while the interface is down none does,
// and a queue whose interface is gone says so.
func TestReadWrite(t *testing.T) {
	inNamespace(t, func(h *link.Handle) {
		l := made(t, h)
		q, host := opened(t, "tap0", l.Index), station(t, l.Index, 0x88b5)
		running(t, h, l.Index)
		b := make([]byte, MaxPacket)
		if n, err := q.Read(b); n != 0 || err != nil {
			t.Errorf("read of nothing: %d, %v", n, err)
		}
		for n := range byte(3) {
			f := frame(n)
			if _, err := unix.Write(host, f[HeaderLen:]); err != nil {
				t.Fatal(err)
			}
			got, err := q.Read(b)
			if err != nil || !bytes.Equal(b[:got], f) {
				t.Errorf("read: %x, %v", b[:got], err)
			}
			pieces := [][]byte{f[:HeaderLen], {}, f[HeaderLen : 20+n], nil, f[20+n:]}
			if ok, err := q.Write(pieces); !ok || err != nil {
				t.Errorf("write: %v, %v", ok, err)
			}
			if got, err = calls.Read(host, b); err != nil || !bytes.Equal(b[:got], f[HeaderLen:]) {
				t.Errorf("the host has %x, %v", b[:got], err)
			}
		}
		many := make([][]byte, maxPieces)
		for i := range many {
			many[i] = []byte{0}
		}
		copy(many, [][]byte{make([]byte, HeaderLen), frame(7)[HeaderLen:]})
		if ok, err := q.Write(many); !ok || err != nil {
			t.Errorf("%d pieces: %v, %v", len(many), ok, err)
		}
		if got, err := calls.Read(host, b); err != nil || got != len(frame(7))-HeaderLen+maxPieces-2 {
			t.Errorf("the host has %d octets, %v", got, err)
		}
		if ok, err := q.Write(append(many, []byte{0})); ok || err == nil || !strings.Contains(err.Error(), "at most 1024") {
			t.Errorf("one piece too many: %v, %v", ok, err)
		}
		for _, bad := range [][][]byte{{frame(1)[:HeaderLen]}, {frame(1)[:HeaderLen+13]}, {append([]byte{1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, frame(1)[HeaderLen:]...)}} {
			if ok, err := q.Write(bad); ok || err != nil {
				t.Errorf("%x: %v, %v", bad, ok, err)
			}
		}

		if err := h.SetDown(l.Index); err != nil {
			t.Fatal(err)
		}
		if n, err := q.Read(b); n != 0 || err != nil {
			t.Errorf("read while down: %d, %v", n, err)
		}
		if ok, err := q.Write([][]byte{frame(1)}); ok || err != nil {
			t.Errorf("write while down: %v, %v", ok, err)
		}
		if err := h.Delete(l.Index); err != nil {
			t.Fatal(err)
		}
		if n, err := q.Read(b); n != 0 || err == nil {
			t.Errorf("read of what is gone: %d, %v", n, err)
		}
		if ok, err := q.Write([][]byte{frame(1)}); ok || err == nil {
			t.Errorf("write to what is gone: %v, %v", ok, err)
		}
	})
}

// What a packet socket sends, flow by flow, is in the queues together, each
// flow in one.
func TestQueues(t *testing.T) {
	inNamespace(t, func(h *link.Handle) {
		l := made(t, h)
		queues := []*Queue{opened(t, "tap0", l.Index), opened(t, "tap0", l.Index), opened(t, "tap0", l.Index)}
		host := station(t, l.Index, 0)
		running(t, h, l.Index)
		const flows, each = 32, 4
		for n := range flows * each {
			if _, err := unix.Write(host, udp(n%flows)); err != nil {
				t.Fatal(err)
			}
		}
		b := make([]byte, MaxPacket)
		at := map[uint16]int{}
		used := map[int]bool{}
		for i, q := range queues {
			for {
				n, err := q.Read(b)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					break
				}
				port := binary.BigEndian.Uint16(b[HeaderLen+34:])
				if at[port]/each > 0 && at[port]%each != i {
					t.Errorf("flow %d is in queues %d and %d", port, at[port]%each, i)
				}
				at[port] = at[port]/each*each + each + i
				used[i] = true
			}
		}
		for port, n := range at {
			if n/each != each {
				t.Errorf("flow %d: %d packets, want %d", port, n/each, each)
			}
		}
		if len(at) != flows || len(used) < 2 {
			t.Errorf("%d flows in %d queues; want %d flows in several", len(at), len(used), flows)
		}
	})
}

// udp is a datagram of a flow, as a host sends it.
func udp(flow int) []byte {
	f := append(frame(0)[HeaderLen:HeaderLen+12], 8, 0)
	f = append(f, 0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
	return append(binary.BigEndian.AppendUint16(f, uint16(1000+flow)), 0, 9, 0, 8, 0, 0)
}
