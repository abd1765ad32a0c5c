package eapol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/packet/unbound"
)

// MaxFrame is the longest frame that a Conn receives or sends, in octets: a
// header of 14 and the 1500 of Ethernet's data, whatever the device's MTU. An
// MKPDU is far shorter.
const MaxFrame = 1514

// DefaultReceiveBuffer bounds, in octets as SO_RCVBUF counts them (with the
// kernel's bookkeeping, about 1 KiB for a short frame), what waits to be read:
// a tenth of a second of 50,000 a second, for a process that is kept off its
// processor so long. It is taken only while frames wait.
const DefaultReceiveBuffer = 4 << 20

// PAEGroup is the Nearest non-TPMR Bridge group address, 01-80-C2-00-00-03,
// where MKPDUs go by default (802.1X-2020 table 11-1).
var PAEGroup = [6]byte{0x01, 0x80, 0xc2, 0x00, 0x00, 0x03}

// EtherType is that of EAPOL by default (802.1X-2020 11.1.4).
const EtherType = 0x888e

// priority is SO_PRIORITY's TC_PRIO_INTERACTIVE: band 0 of pfifo_fast, so that
// hellos are not lost behind bulk traffic.
const priority = 6

// Options says which frames a Conn is for.
type Options struct {
	// Destination is the address that MKPDUs are sent to: PAEGroup or as the
	// peers have it configured. A group is joined on the device.
	Destination [6]byte
	// EtherType is 0x0600 or greater; EtherType by default is the caller's
	// business: zero is refused.
	EtherType uint16
	// ReceiveBuffer in octets; 0 is DefaultReceiveBuffer.
	ReceiveBuffer int
}

// Conn sends and receives MKPDUs on one device. Its methods may be called
// concurrently.
type Conn struct {
	ifindex int
	file    *os.File
	raw     syscall.RawConn

	mu    sync.Mutex // over drops: reading the kernel's counter resets it
	drops uint64

	batch batch // of ReadBatch
}

// Listen opens a Conn on the device with that index in the calling thread's
// network namespace. The device may be down. CAP_NET_RAW is needed.
func Listen(ifindex int, opts Options) (*Conn, error) {
	if opts.EtherType < 0x0600 {
		return nil, fmt.Errorf("eapol: ethertype 0x%04x is a length; one of 0x0600 or greater is accepted", opts.EtherType)
	}
	if ifindex <= 0 { // 0 would be every device
		return nil, fmt.Errorf("eapol: device %d: an interface index is greater than 0", ifindex)
	}
	if opts.ReceiveBuffer == 0 {
		opts.ReceiveBuffer = DefaultReceiveBuffer
	}
	c := &Conn{ifindex: ifindex}
	// Protocol 0: nothing is received before the filter is in and bind names
	// the protocol.
	fd, err := unbound.Open(unix.SOCK_RAW | unix.SOCK_NONBLOCK)
	if err != nil {
		return nil, c.fail("socket", err)
	}
	if err := c.setup(fd, opts); err != nil {
		unix.Close(fd)
		return nil, err
	}
	// A non-blocking descriptor goes to the runtime's poller: deadlines work
	// and Close wakes a Read.
	c.file = os.NewFile(uintptr(fd), "eapol")
	c.raw, err = c.file.SyscallConn()
	if err != nil {
		c.file.Close()
		return nil, c.fail("poll", err)
	}
	return c, nil
}

func (c *Conn) setup(fd int, opts Options) error {
	raw, err := bpf.Assemble(program(opts))
	if err != nil {
		return c.fail("assemble the filter", err)
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}); err != nil {
		return c.fail("attach the filter", err)
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, opts.ReceiveBuffer)
	if err == unix.EPERM { // without CAP_NET_ADMIN as much as net.core.rmem_max lets it be
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, opts.ReceiveBuffer)
	}
	if err != nil {
		return c.fail("set the receive buffer", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, priority); err != nil {
		return c.fail("set the priority", err)
	}
	if opts.Destination[0]&1 != 0 {
		m := unix.PacketMreq{Ifindex: int32(c.ifindex), Type: unix.PACKET_MR_MULTICAST, Alen: 6}
		copy(m.Address[:], opts.Destination[:])
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return c.fail(fmt.Sprintf("join %x", opts.Destination), err)
		}
	}
	var be [2]byte
	binary.BigEndian.PutUint16(be[:], opts.EtherType)
	addr := &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(be[:]), Ifindex: c.ifindex}
	if err := unix.Bind(fd, addr); err != nil {
		return c.fail("bind", err)
	}
	return nil
}

// Read waits for the next frame and puts it into buf, which has MaxFrame
// octets or more. It returns os.ErrDeadlineExceeded after the deadline and
// os.ErrClosed after Close. After ErrDown call it again. A removal that
// follows a shutdown closely may be reported as ErrDown; Write then tells
// ErrGone.
func (c *Conn) Read(buf []byte) (int, error) {
	if len(buf) < MaxFrame {
		return 0, &Error{Op: "read", Ifindex: c.ifindex, Err: fmt.Errorf("buffer of %d octets; %d are needed", len(buf), MaxFrame)}
	}
	n, err := c.file.Read(buf)
	if err != nil {
		return 0, c.fail("read", err)
	}
	return n, nil
}

// Write sends one whole frame. It never waits: a full send buffer loses the
// frame and is an error that unwraps to unix.EAGAIN or unix.ENOBUFS. Without
// carrier the frame is lost, with ENOBUFS or silently: the kernel sends again
// only when it has reported the device's operational state as up. Egress
// filters of the device see the frame.
func (c *Conn) Write(frame []byte) error {
	if len(frame) > MaxFrame {
		return &Error{Op: "write", Ifindex: c.ifindex, Err: fmt.Errorf("frame of %d octets; at most %d go: %w", len(frame), MaxFrame, unix.EMSGSIZE)}
	}
	var werr error
	err := c.raw.Write(func(fd uintptr) bool {
		_, werr = unix.Write(int(fd), frame)
		if werr == unix.ENETDOWN {
			// Perhaps the error that a past shutdown left in the socket: it
			// is taken out by being reported, and says nothing about now.
			_, werr = unix.Write(int(fd), frame)
		}
		return true
	})
	return c.outcome("write", err, werr)
}

// SetReadDeadline bounds Read, the one that waits now included; the zero time
// means no bound.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }

// Close leaves the group, closes the socket and wakes a Read.
func (c *Conn) Close() error { return c.file.Close() }

// Drops is the number of frames since Listen that passed the filter and were
// lost because the receive buffer was full.
func (c *Conn) Drops() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var st *unix.TpacketStats
	var serr error
	err := c.raw.Control(func(fd uintptr) {
		st, serr = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	})
	if err := c.outcome("read statistics", err, serr); err != nil {
		return c.drops, err
	}
	c.drops += uint64(st.Drops)
	return c.drops, nil
}

// outcome joins the two errors of a RawConn's call.
func (c *Conn) outcome(op string, conn, call error) error {
	if conn != nil {
		// The RawConn of a closed file has an error of its own; File has
		// os.ErrClosed, and so have we.
		if !errors.Is(conn, os.ErrDeadlineExceeded) {
			conn = os.ErrClosed
		}
		return conn
	}
	if call != nil {
		return c.fail(op, call)
	}
	return nil
}

// unbound tells whether the socket has lost its device.
func (c *Conn) unbound() bool {
	if c.raw == nil {
		return false
	}
	lost := false
	_ = c.raw.Control(func(fd uintptr) { // closed: not lost
		sa, err := unix.Getsockname(int(fd))
		ll, ok := sa.(*unix.SockaddrLinklayer)
		lost = err == nil && ok && ll.Ifindex <= 0
	})
	return lost
}
