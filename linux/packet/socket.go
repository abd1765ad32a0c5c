package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/packet/unbound"
)

const (
	// batch is how many frames a system call moves.
	batch = 64
	// buffers of the socket, octets: 1 ms at 64 Gbit/s.
	buffers = 8 << 20
	// maxFrame is the longest MTU and its Ethernet header with two VLAN tags.
	maxFrame = 65535 + 22
	// patience is how often a frame that the queue below refuses is sent again
	// before it is dropped: a rule may refuse it for ever, and those behind it
	// would wait.
	patience = 64
)

// Options say what a Socket is for.
type Options struct {
	// EtherType is what it receives, without a VLAN tag; 0: all but Except, with
	// their tags.
	EtherType uint16
	Except    uint16
	// Frame is the longest frame in octets, without FCS.
	Frame int
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// direction is the messages of one direction with their buffers.
type direction struct {
	messages [batch]mmsghdr
	vectors  [batch]unix.Iovec
	memory   []byte
	frame    int // size of a buffer
	free     int // before what is received
	n        int // queued
}

// Socket is a packet socket on a device. One goroutine may transmit and
// another receive at the same time. Close is for when both have ended.
type Socket struct {
	fd      int
	ifindex int
	rx, tx  *direction
	tags    *tags // nil with an EtherType
	refused int   // how often the first of tx was

	overruns atomic.Uint64
}

// Open opens a socket on the device with that index in the calling thread's
// network namespace. Frames that this machine sends are not received.
// CAP_NET_RAW is needed.
func Open(ifindex int, o Options) (*Socket, error) {
	if ifindex <= 0 { // 0 would be every device
		return nil, fmt.Errorf("packet socket: device %d: an interface index is greater than 0", ifindex)
	}
	if o.Frame < 1 || o.Frame > maxFrame {
		return nil, fmt.Errorf("packet socket: device %d: frames of %d octets: 1 to %d are accepted", ifindex, o.Frame, maxFrame)
	}
	s := &Socket{ifindex: ifindex, tx: newDirection(o.Frame, 0)}
	if o.EtherType != 0 {
		s.rx = newDirection(o.Frame, 0)
	} else {
		s.rx, s.tags = newDirection(o.Frame, tagLen), new(tags)
	}
	fd, err := unbound.Open(unix.SOCK_RAW | unix.SOCK_NONBLOCK)
	if err != nil {
		return nil, s.fail("open", err)
	}
	s.fd = fd
	if err := s.setup(o); err != nil {
		return nil, errors.Join(s.fail("open", err), s.Close())
	}
	return s, nil
}

// newDirection makes buffers for frames, with so many octets free before them.
func newDirection(frame, free int) *direction {
	d := &direction{frame: (frame + free + 63) &^ 63, free: free}
	d.memory = make([]byte, batch*d.frame)
	for i := range d.messages {
		d.vectors[i].Base = &d.memory[i*d.frame+free]
		d.vectors[i].SetLen(d.frame - free)
		d.messages[i].header.Iov = &d.vectors[i]
		d.messages[i].header.SetIovlen(1)
	}
	return d
}

func (s *Socket) setup(o Options) error {
	if err := s.filter(o); err != nil {
		return err
	}
	if s.tags != nil {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
			return fmt.Errorf("ask for VLAN tags: %w", err)
		}
	}
	for _, option := range [...]struct{ force, polite int }{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, option.force, buffers) == nil {
			continue
		}
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, option.polite, buffers); err != nil {
			return fmt.Errorf("set the buffers: %w", err)
		}
	}
	// What this machine sends costs nothing then; the filter drops it too.
	_ = unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	// All protocols: where one is asked for, the kernel has forgotten the VLAN
	// tag of a frame by the time that the filter sees it.
	var be [2]byte
	binary.BigEndian.PutUint16(be[:], unix.ETH_P_ALL)
	if err := unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(be[:]), Ifindex: s.ifindex}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// filter drops what left this machine and what Options do not ask for: with an
// EtherType also what had a VLAN tag, which is now beside the frame.
func (s *Socket) filter(o Options) error {
	wanted := bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(o.Except), SkipFalse: 1}
	if o.EtherType != 0 {
		wanted = bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(o.EtherType), SkipFalse: 1}
	}
	var program []bpf.Instruction
	if o.EtherType != 0 {
		program = []bpf.Instruction{
			bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 5},
		}
	}
	raw, err := bpf.Assemble(append(program,
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 3},
		bpf.LoadExtension{Num: bpf.ExtProto},
		wanted,
		bpf.RetConstant{Val: 1 << 20},
		bpf.RetConstant{Val: 0},
	))
	if err != nil {
		return fmt.Errorf("assemble the filter: %w", err)
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	if err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}); err != nil {
		return fmt.Errorf("attach the filter: %w", err)
	}
	return nil
}

// FD is the file descriptor, to poll.
func (s *Socket) FD() int { return s.fd }

// Buffer returns a buffer for a frame; nil if all are in use: then Send. It is
// the same one until Queue.
func (s *Socket) Buffer() []byte {
	if s.tx.n == batch {
		return nil
	}
	return s.tx.buffer(s.tx.n)
}

func (d *direction) buffer(i int) []byte { return d.memory[i*d.frame : (i+1)*d.frame : (i+1)*d.frame] }

// Queue queues octets [offset, offset+n) of the Buffer got last.
func (s *Socket) Queue(offset, n int) {
	v := &s.tx.vectors[s.tx.n]
	v.Base = &s.tx.buffer(s.tx.n)[offset:][:n:n][0]
	v.SetLen(n)
	s.tx.n++
}

// Pending tells whether queued frames were not sent.
func (s *Socket) Pending() bool { return s.tx.n > 0 }

// Left is how many frames are queued that the kernel has not taken.
func (s *Socket) Left() int { return s.tx.n }

// Send sends what was queued. Where the queue below is full for a moment the
// rest stays queued: WaitSend, and Send. On an error the first frame of the
// rest is dropped: the device is down or gone, or takes no frame as long.
func (s *Socket) Send() error {
	d, done := s.tx, 0
	var err error
	for done < d.n && err == nil {
		r, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&d.messages[done])), uintptr(d.n-done), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case e == 0:
			done += int(r)
			s.refused = 0
		case e == unix.EINTR:
		case e == unix.EAGAIN, e == unix.ENOBUFS && s.refused < patience:
			if e == unix.ENOBUFS {
				s.refused++
			}
			d.keep(done)
			return nil
		default:
			done++
			s.refused = 0
			err = s.fail("send", e)
		}
	}
	d.keep(done)
	return err
}

// keep moves what was not sent to the front.
func (d *direction) keep(done int) {
	rest := d.n - done
	if done > 0 {
		for i := range rest {
			from := &d.vectors[done+i]
			n := int(from.Len)
			to := d.buffer(i)[:n]
			copy(to, unsafe.Slice(from.Base, n))
			d.vectors[i].Base = &to[0]
			d.vectors[i].SetLen(n)
		}
	}
	d.n = rest
}

// WaitSend waits until the kernel may take more, at most for d.
func (s *Socket) WaitSend(d time.Duration) error {
	p := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
	if _, err := unix.Poll(p, int(d.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
		return s.fail("poll", err)
	}
	return nil
}

// Receive fills frames with what has come, DA first without FCS, and returns
// how many. They may be written to, and are valid until the next Receive.
func (s *Socket) Receive(frames [][]byte) int {
	d := s.rx
	for {
		if s.tags != nil {
			s.tags.ask(d)
		}
		r, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&d.messages[0])), uintptr(min(len(frames), batch)), unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return 0 // nothing there, or the device went down: poll tells
		}
		n := 0
		for i := range int(r) {
			length := int(d.messages[i].length)
			if length > d.frame-d.free {
				continue // it was cut
			}
			if frames[n] = d.buffer(i)[:length]; s.tags != nil {
				frames[n] = s.tags.restore(d, i, d.buffer(i), length)
			}
			n++
		}
		return n
	}
}

// Release gives the frames of Receive back.
func (s *Socket) Release() {}

// Overruns is how many received frames were lost for want of room since Open.
func (s *Socket) Overruns() uint64 {
	// The kernel counts from the last time it was asked.
	if st, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		return s.overruns.Add(uint64(st.Drops))
	}
	return s.overruns.Load()
}

// Close ends the socket.
func (s *Socket) Close() error {
	if s.fd < 0 {
		return nil
	}
	err := unix.Close(s.fd)
	s.fd = -1
	return err
}

func (s *Socket) fail(op string, err error) error {
	remedy := ""
	if errors.Is(err, unix.EPERM) {
		remedy = "; it needs CAP_NET_RAW"
	}
	return fmt.Errorf("packet socket: device %d: %s: %w%s", s.ifindex, op, err, remedy)
}
