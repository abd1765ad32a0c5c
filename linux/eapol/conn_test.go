package eapol_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/eapol"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/tests/calls"
)

// wire is a veth pair, both ends up in a namespace of their own making.
type wire struct {
	ns   *netns.NS
	port netlink.Link // where the Conn listens
	peer netlink.Link
	raw  int // packet socket on peer
}

func newWire(t *testing.T) *wire {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.Veth, probe.AFPacket)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	w := &wire{ns: ns}
	w.do(t, func() error {
		v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "port"}, PeerName: "peer"}
		if err := netlink.LinkAdd(v); err != nil {
			return err
		}
		var err error
		if w.port, err = netlink.LinkByName("port"); err != nil {
			return err
		}
		if w.peer, err = netlink.LinkByName("peer"); err != nil {
			return err
		}
		if err := errors.Join(netlink.LinkSetUp(w.port), netlink.LinkSetUp(w.peer)); err != nil {
			return err
		}
		if w.raw, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		all := int(unix.ETH_P_ALL)
		return unix.Bind(w.raw, &unix.SockaddrLinklayer{Ifindex: w.peer.Attrs().Index, Protocol: uint16(all<<8 | all>>8)})
	})
	t.Cleanup(func() { unix.Close(w.raw) })
	w.carrier(t)
	return w
}

// carrier waits until both ends send: the kernel gives a device its queue
// some time after it came up, and loses what is sent before.
func (w *wire) carrier(t *testing.T) {
	t.Helper()
	w.do(t, func() error {
		for deadline := time.Now().Add(10 * time.Second); ; {
			port, err := netlink.LinkByIndex(w.port.Attrs().Index)
			if err != nil {
				return err
			}
			peer, err := netlink.LinkByIndex(w.peer.Attrs().Index)
			if err != nil {
				return err
			}
			if port.Attrs().OperState == netlink.OperUp && peer.Attrs().OperState == netlink.OperUp {
				return nil
			}
			if time.Now().After(deadline) {
				return errors.New("no carrier within 10 s")
			}
		}
	})
}

func (w *wire) do(t *testing.T, f func() error) {
	t.Helper()
	if err := w.ns.Do(f); err != nil {
		t.Fatal(err)
	}
}

func (w *wire) listen(t *testing.T, opts eapol.Options) *eapol.Conn {
	t.Helper()
	var c *eapol.Conn
	w.do(t, func() (err error) { c, err = eapol.Listen(w.port.Attrs().Index, opts); return err })
	t.Cleanup(func() { c.Close() })
	return c
}

func (w *wire) send(t *testing.T, frame []byte) {
	t.Helper()
	if _, err := unix.Write(w.raw, frame); err != nil {
		t.Fatal(err)
	}
}

func mac(l netlink.Link) (m [6]byte) { copy(m[:], l.Attrs().HardwareAddr); return m }

// frame is an EAPOL frame of 60 octets whose last says which one it is.
func frame(dst, src [6]byte, etherType uint16, kind, mark byte) []byte {
	f := append(append([]byte{}, dst[:]...), src[:]...)
	f = binary.BigEndian.AppendUint16(f, etherType)
	f = append(f, 3, kind)
	f = append(f, make([]byte, 60-len(f))...)
	f[59] = mark
	return f
}

func tagged(f []byte, tag ...byte) []byte {
	return append(append(append([]byte{}, f[:12]...), tag...), f[12:]...)
}

// next reads one frame; a test that waits for ever is a failed one.
func next(t *testing.T, c *eapol.Conn) []byte {
	t.Helper()
	buf := make([]byte, eapol.MaxFrame)
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

var options = eapol.Options{Destination: eapol.PAEGroup, EtherType: eapol.EtherType}

// Each frame that must not be seen is followed by one that must: what is read
// first is the latter.
func TestReceives(t *testing.T) {
	w := newWire(t)
	c := w.listen(t, options)
	port, peer := mac(w.port), mac(w.peer)
	last := frame(eapol.PAEGroup, peer, eapol.EtherType, 5, 0xee)
	tests := []struct {
		name  string
		frame []byte
		pass  bool
	}{
		{"to the group", frame(eapol.PAEGroup, peer, eapol.EtherType, 5, 1), true},
		{"to the port", frame(port, peer, eapol.EtherType, 5, 2), true},
		{"to another station", frame([6]byte{2, 9, 9, 9, 9, 9}, peer, eapol.EtherType, 5, 3), false},
		{"to another group", frame([6]byte{1, 0x80, 0xc2, 0, 0, 0}, peer, eapol.EtherType, 5, 4), false},
		{"broadcast", frame([6]byte{255, 255, 255, 255, 255, 255}, peer, eapol.EtherType, 5, 5), false},
		{"no mka", frame(eapol.PAEGroup, peer, eapol.EtherType, 1, 6), false},
		{"no mka, to the port", frame(port, peer, eapol.EtherType, 1, 7), false},
		{"another ethertype", frame(eapol.PAEGroup, peer, 0x88b5, 5, 8), false},
		{"802.1Q", tagged(frame(eapol.PAEGroup, peer, eapol.EtherType, 5, 9), 0x81, 0, 0, 10), false},
		{"802.1Q, to the port", tagged(frame(port, peer, eapol.EtherType, 5, 10), 0x81, 0, 0, 10), false},
		{"802.1Q inside a priority tag", tagged(frame(eapol.PAEGroup, peer, eapol.EtherType, 5, 11), 0x81, 0, 0xe0, 0, 0x81, 0, 0, 10), false},
		{"802.1ad", tagged(frame(eapol.PAEGroup, peer, eapol.EtherType, 5, 12), 0x88, 0xa8, 0, 10), false},
		{"header alone", frame(eapol.PAEGroup, peer, eapol.EtherType, 5, 13)[:14], false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.send(t, tt.frame)
			w.send(t, last)
			if tt.pass {
				if got := next(t, c); !bytes.Equal(got, tt.frame) {
					t.Fatalf("read %x, want %x", got, tt.frame)
				}
			}
			if got := next(t, c); !bytes.Equal(got, last) {
				t.Fatalf("read %x, want only what follows it", got)
			}
		})
	}
	if n, err := c.Drops(); err != nil || n != 0 {
		t.Errorf("drops %d, %v; want none", n, err)
	}
}

// The kernel takes a priority tag off: VID 0 is no VLAN.
func TestPriorityTagged(t *testing.T) {
	w := newWire(t)
	c := w.listen(t, options)
	f := frame(eapol.PAEGroup, mac(w.peer), eapol.EtherType, 5, 1)
	w.send(t, tagged(f, 0x81, 0, 0xe0, 0))
	if got := next(t, c); !bytes.Equal(got, f) {
		t.Fatalf("read %x, want %x", got, f)
	}
}

// The port's address is the one that it has now.
func TestFollowsChangeOfAddress(t *testing.T) {
	w := newWire(t)
	c := w.listen(t, options)
	old := mac(w.port)
	now := [6]byte{2, 0, 0, 0, 0, 7}
	w.do(t, func() error { return netlink.LinkSetHardwareAddr(w.port, now[:]) })
	w.send(t, frame(old, mac(w.peer), eapol.EtherType, 5, 1))
	want := frame(now, mac(w.peer), eapol.EtherType, 5, 2)
	w.send(t, want)
	if got := next(t, c); !bytes.Equal(got, want) {
		t.Fatalf("read %x, want %x", got, want)
	}
}

func TestWrites(t *testing.T) {
	w := newWire(t)
	c := w.listen(t, options)
	want := frame(eapol.PAEGroup, mac(w.port), eapol.EtherType, 5, 1)
	if err := c.Write(want); err != nil {
		t.Fatal(err)
	}
	tv := unix.NsecToTimeval(int64(10 * time.Second))
	if err := unix.SetsockoptTimeval(w.raw, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	for { // past the kernel's own frames (IPv6)
		n, err := calls.Read(w.raw, buf)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(buf[:n], want) {
			break
		}
	}
	// What we sent does not come back to us.
	reply := frame(eapol.PAEGroup, mac(w.peer), eapol.EtherType, 5, 2)
	w.send(t, reply)
	if got := next(t, c); !bytes.Equal(got, reply) {
		t.Fatalf("read %x, want %x", got, reply)
	}
	if err := c.Write(make([]byte, eapol.MaxFrame+1)); !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("too long a frame: %v", err)
	}
}

func TestDeadlineAndClose(t *testing.T) {
	w := newWire(t)
	c := w.listen(t, options)
	buf := make([]byte, eapol.MaxFrame)
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("after the deadline: %v", err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := c.Read(buf); done <- err }()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Fatalf("closed while reading: %v", err)
	}
	if err := c.Write(buf[:60]); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	if _, err := c.Drops(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("drops after close: %v", err)
	}
	if _, err := c.Read(buf[:100]); err == nil {
		t.Error("a short buffer was accepted")
	}
}

func TestBoundedBuffer(t *testing.T) {
	w := newWire(t)
	opts := options
	opts.ReceiveBuffer = 8 << 10
	c := w.listen(t, opts)
	const sent = 1000
	f := frame(eapol.PAEGroup, mac(w.peer), eapol.EtherType, 5, 1)
	for range sent {
		w.send(t, f)
	}
	// veth may hand frames over behind the sender's back: drops only grow.
	var drops, again uint64
	for deadline := time.Now().Add(10 * time.Second); drops < sent/2; {
		var err error
		if drops, err = c.Drops(); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d dropped, with a buffer for a few", drops, sent)
		}
	}
	if again, _ = c.Drops(); again < drops {
		t.Errorf("drops went from %d to %d", drops, again)
	}
	if got := next(t, c); !bytes.Equal(got, f) {
		t.Errorf("read %x", got)
	}
}

func TestDownUpGone(t *testing.T) {
	w := newWire(t)
	c := w.listen(t, options)
	f := frame(eapol.PAEGroup, mac(w.peer), eapol.EtherType, 5, 1)
	buf := make([]byte, eapol.MaxFrame)
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}

	// The carrier alone is no error.
	w.do(t, func() error { return netlink.LinkSetDown(w.peer) })
	if err := c.Write(f); err != nil && !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("write without carrier: %v", err)
	}
	w.do(t, func() error { return netlink.LinkSetUp(w.peer) })
	w.carrier(t)
	if _, err := unix.GetsockoptInt(w.raw, unix.SOL_SOCKET, unix.SO_ERROR); err != nil { // forgets that the peer was down
		t.Fatal(err)
	}
	w.send(t, f)
	if n, err := c.Read(buf); err != nil || !bytes.Equal(buf[:n], f) {
		t.Fatalf("after the carrier came back: %x, %v", buf[:n], err)
	}

	w.do(t, func() error { return netlink.LinkSetDown(w.port) })
	if _, err := c.Read(buf); !errors.Is(err, eapol.ErrDown) || errors.Is(err, eapol.ErrGone) {
		t.Fatalf("read, device down: %v", err)
	}
	if err := c.Write(f); !errors.Is(err, eapol.ErrDown) || !errors.Is(err, unix.ENETDOWN) {
		t.Fatalf("write, device down: %v", err)
	}
	w.do(t, func() error { return netlink.LinkSetUp(w.port) })
	w.carrier(t)
	w.send(t, f)
	if n, err := c.Read(buf); err != nil || !bytes.Equal(buf[:n], f) {
		t.Fatalf("after the device came up: %x, %v", buf[:n], err)
	}

	// A shutdown that nobody read of is not held against a later write.
	w.do(t, func() error { return errors.Join(netlink.LinkSetDown(w.port), netlink.LinkSetUp(w.port)) })
	w.carrier(t)
	if err := c.Write(f); err != nil && !errors.Is(err, unix.ENOBUFS) {
		t.Fatalf("write, device down and up again: %v", err)
	}

	w.do(t, func() error { return netlink.LinkDel(w.port) })
	if _, err := c.Read(buf); !errors.Is(err, eapol.ErrGone) {
		t.Fatalf("read, device removed: %v", err)
	}
	if err := c.Write(f); !errors.Is(err, eapol.ErrGone) {
		t.Fatalf("write, device removed: %v", err)
	}
	w.do(t, func() error {
		_, err := eapol.Listen(w.port.Attrs().Index, options)
		if !errors.Is(err, eapol.ErrGone) {
			t.Errorf("listen on a removed device: %v", err)
		}
		return nil
	})
}

func TestReadAllocatesNothing(t *testing.T) {
	w := newWire(t)
	c := w.listen(t, options)
	f := frame(eapol.PAEGroup, mac(w.peer), eapol.EtherType, 5, 1)
	buf := make([]byte, eapol.MaxFrame)
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		w.send(t, f)
		if _, err := c.Read(buf); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}
