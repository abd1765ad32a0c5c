package macsec

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/tests/calls"
)

// TestKernelPNWrap counts an SA's packet numbers to their end: the kernel must
// stop, and no frame may carry a number twice.
func TestKernelPNWrap(t *testing.T) {
	ns, c, p, _ := parentIn(t)
	i := create(t, c, Device{Name: "macsec0", Parent: p, Config: Config{Encrypt: &yes}})
	if err := c.AddTxSA(i, NewSA{Active: true, PN: 0xfffffffd, KeyID: testKeyID, Key: testKey}); err != nil {
		t.Fatal(err)
	}
	wire := packetSocket(t, ns, "p1", 0x88e5)
	device := packetSocket(t, ns, "macsec0", 0)
	frame := append([]byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x12, 0x34}, make([]byte, 60)...)
	send := func(n int) (pns []uint32) {
		t.Helper()
		for range n {
			if _, err := unix.Write(device, frame); err != nil && err != unix.ENOBUFS {
				t.Fatal(err)
			}
		}
		buf := make([]byte, 2048)
		for {
			n, err := calls.Read(wire, buf)
			if err == unix.EAGAIN {
				return pns
			}
			if err != nil || n < 20 {
				t.Fatal(n, err)
			}
			pns = append(pns, binary.BigEndian.Uint32(buf[16:]))
		}
	}
	if got, want := send(8), []uint32{0xfffffffd, 0xfffffffe, 0xffffffff}; !slices.Equal(got, want) {
		t.Errorf("packet numbers on the wire %x, want %x", got, want)
	}
	s := get(t, c, i)
	if s.TxSA[0].PN != 0 || s.TxSA[0].Active || s.Operational {
		t.Errorf("after the last packet number: operational %v, %+v", s.Operational, s.TxSA[0])
	}
	// What SetTxSAActive's comment warns of.
	if err := c.SetTxSAActive(i, 0, true); err != nil {
		t.Fatal(err)
	}
	t.Logf("activated again, the kernel sent packet numbers %x", send(3))
}

// packetSocket is bound to a device that it sets up; reading it ends with
// EAGAIN when nothing came for 300 ms.
func packetSocket(t *testing.T, ns *netns.NS, device string, ethertype uint16) (fd int) {
	t.Helper()
	if err := ns.Do(func() error {
		l, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		proto := ethertype<<8 | ethertype>>8
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index, Protocol: proto}); err != nil {
			return err
		}
		tv := unix.NsecToTimeval(int64(300 * time.Millisecond))
		return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}
