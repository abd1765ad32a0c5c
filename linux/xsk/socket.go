package xsk

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// rxFrames and txFrames are how many frames each direction has in the
	// UMEM, powers of two: 2 ms of 1500 octets at 25 Gbit/s. Of a device with
	// more than few queues each has a quarter.
	rxFrames = 4096
	txFrames = 2048
	few      = 4
	page     = 4096
	// sharedInfo is what the kernel keeps at the end of a page in which a
	// driver receives (struct skb_shared_info, rounded up).
	sharedInfo = 320
	// freed is how long a queue may be busy with a socket that was closed: the
	// kernel lets go of it later, in a work queue.
	freed = 500 * time.Millisecond
	// maxQueue is the last that the kernel can tell apart: it cuts to 16 bits.
	maxQueue = 1<<16 - 1
	// MaxFrame is the longest frame in octets, without FCS, that drivers hand
	// to XDP in one piece.
	MaxFrame = page - unix.XDP_PACKET_HEADROOM - sharedInfo
)

var (
	// ErrUnsupported says that the kernel has no AF_XDP.
	ErrUnsupported = errors.New("this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)")
	// ErrNoQueue says that the device has no such queue, or no AF_XDP.
	ErrNoQueue = errors.New("the device has no such queue")
)

// Socket is one queue of a device. One goroutine may transmit and another
// receive at the same time. Close is for when both have ended.
//
// It has two sockets of the kernel, which share the UMEM: who polls one that
// transmits too sends for it, and waits while another does.
type Socket struct {
	fd, txFD                 int
	ifindex, queue           int
	admit                    func(int) error
	umem                     []byte
	chunk                    int
	rxFrames, txFrames       int
	rx, tx, fill, completion ring

	free []uint64 // transmit buffers that are ours
	at   uint64   // the one that Buffer gave last
	back []uint64 // their buffers
}

// Options say what a Socket is for.
type Options struct {
	Queue int
	// Queues is how many the device has; it decides how much memory each
	// has.
	Queues int
	// Frame is the longest frame in octets, at most MaxFrame.
	Frame int
	// Admit, if it is not nil, is called with the kernel's socket that transmits
	// before it is set up, for a guard that refuses others.
	Admit func(fd int) error
}

// Open opens a socket for a queue of the device with that index in the calling
// thread's network namespace. The device has to be up for frames to move.
// CAP_NET_RAW is needed, and locked memory of 12 to 24 MiB.
func Open(ifindex int, o Options) (*Socket, error) {
	if o.Frame < 1 || o.Frame > MaxFrame {
		return nil, fmt.Errorf("AF_XDP: frames of %d octets: 1 to %d fit into a buffer", o.Frame, MaxFrame)
	}
	if o.Queue < 0 || o.Queue > maxQueue {
		return nil, fmt.Errorf("AF_XDP: device %d queue %d: open: %w", ifindex, o.Queue, ErrNoQueue)
	}
	s := &Socket{admit: o.Admit, fd: -1, txFD: -1, ifindex: ifindex, queue: o.Queue, chunk: page, rxFrames: rxFrames, txFrames: txFrames}
	if o.Queues > few {
		s.rxFrames, s.txFrames = rxFrames/4, txFrames/4
	}
	if o.Frame <= page/2-unix.XDP_PACKET_HEADROOM {
		s.chunk = page / 2
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(s.fail("open", err), s.Close())
	}
	return s, nil
}

func (s *Socket) open() (err error) {
	if s.fd, err = socket(); err != nil {
		return err
	}
	if s.txFD, err = socket(); err != nil {
		return err
	}
	if s.admit != nil {
		if err := s.admit(s.txFD); err != nil {
			return err
		}
	}
	if err := s.register(); err != nil {
		return err
	}
	if err := s.mapRings(); err != nil {
		return err
	}
	for i := range s.rxFrames {
		s.fill.putAddress(uint64(i * s.chunk))
	}
	s.fill.publish()
	s.back = make([]uint64, 0, s.rxFrames)
	s.free = make([]uint64, 0, s.txFrames)
	for i := range s.txFrames {
		s.free = append(s.free, uint64((s.rxFrames+i)*s.chunk))
	}
	// One system call sends as much; an older kernel has its own bound.
	_ = unix.SetsockoptInt(s.txFD, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, 256)
	// With neither XDP_COPY nor XDP_ZEROCOPY the kernel takes what there is.
	if err := s.bind(s.fd, unix.SockaddrXDP{Flags: unix.XDP_USE_NEED_WAKEUP}); err != nil {
		return err
	}
	return s.bind(s.txFD, unix.SockaddrXDP{Flags: unix.XDP_SHARED_UMEM, SharedUmemFD: uint32(s.fd)})
}

func socket() (int, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return -1, ErrUnsupported
	}
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	return fd, nil
}

func (s *Socket) bind(fd int, to unix.SockaddrXDP) error {
	to.Ifindex, to.QueueID = uint32(s.ifindex), uint32(s.queue)
	err := unix.Bind(fd, &to)
	for waited := time.Duration(0); errors.Is(err, unix.EBUSY) && waited < freed; waited += time.Millisecond {
		time.Sleep(time.Millisecond)
		err = unix.Bind(fd, &to)
	}
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("bind: %w: another program has the queue; end it (ss --xdp -p names it)", err)
	}
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("bind: %w (%w)", ErrNoQueue, err)
	}
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// register makes the UMEM and tells the kernel of it.
func (s *Socket) register() (err error) {
	s.umem, err = unix.Mmap(-1, 0, (s.rxFrames+s.txFrames)*s.chunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANONYMOUS|unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("map the UMEM: %w", err)
	}
	reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&s.umem[0]))), Len: uint64(len(s.umem)), Size: uint32(s.chunk)}
	// The fields after Flags are of newer kernels, which take the shorter form.
	n := unsafe.Offsetof(reg.Flags) + unsafe.Sizeof(reg.Flags)
	if _, _, e := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(s.fd), unix.SOL_XDP, unix.XDP_UMEM_REG, uintptr(unsafe.Pointer(&reg)), n, 0); e != 0 {
		return fmt.Errorf("register the UMEM: %w", e)
	}
	return nil
}

func (s *Socket) mapRings() error {
	rings := []struct {
		ring          *ring
		fd            int
		option        int
		entries, size int
		page          int64
		at            func(*unix.XDPMmapOffsets) unix.XDPRingOffset
	}{
		{&s.fill, s.fd, unix.XDP_UMEM_FILL_RING, s.rxFrames, addressLen, unix.XDP_UMEM_PGOFF_FILL_RING, func(o *unix.XDPMmapOffsets) unix.XDPRingOffset { return o.Fr }},
		{&s.completion, s.fd, unix.XDP_UMEM_COMPLETION_RING, s.txFrames, addressLen, unix.XDP_UMEM_PGOFF_COMPLETION_RING, func(o *unix.XDPMmapOffsets) unix.XDPRingOffset { return o.Cr }},
		{&s.rx, s.fd, unix.XDP_RX_RING, s.rxFrames, descriptorLen, unix.XDP_PGOFF_RX_RING, func(o *unix.XDPMmapOffsets) unix.XDPRingOffset { return o.Rx }},
		{&s.tx, s.txFD, unix.XDP_TX_RING, s.txFrames, descriptorLen, unix.XDP_PGOFF_TX_RING, func(o *unix.XDPMmapOffsets) unix.XDPRingOffset { return o.Tx }},
	}
	for _, r := range rings {
		if err := unix.SetsockoptInt(r.fd, unix.SOL_XDP, r.option, r.entries); err != nil {
			return fmt.Errorf("size a ring: %w", err)
		}
	}
	var offsets unix.XDPMmapOffsets
	if err := s.get(unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&offsets), unsafe.Sizeof(offsets)); err != nil {
		return fmt.Errorf("ring offsets: %w", err)
	}
	for _, r := range rings {
		var err error
		if *r.ring, err = mapRing(r.fd, r.at(&offsets), r.page, r.size, r.entries); err != nil {
			return err
		}
	}
	return nil
}

func (s *Socket) get(option uintptr, to unsafe.Pointer, size uintptr) error {
	n := uint32(size)
	if _, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_XDP, option, uintptr(to), uintptr(unsafe.Pointer(&n)), 0); e != 0 {
		return e
	}
	return nil
}

// FD is the file descriptor, to poll and to put into an XSKMAP.
func (s *Socket) FD() int { return s.fd }

// ZeroCopy tells whether the driver reads and writes the frames in place.
func (s *Socket) ZeroCopy() bool {
	var o struct{ flags uint32 }
	return s.get(unix.XDP_OPTIONS, unsafe.Pointer(&o), unsafe.Sizeof(o)) == nil && o.flags&unix.XDP_OPTIONS_ZEROCOPY != 0
}

// Overruns is how many received frames were lost for want of room since Open.
func (s *Socket) Overruns() uint64 {
	var st unix.XDPStatistics
	if s.get(unix.XDP_STATISTICS, unsafe.Pointer(&st), unsafe.Sizeof(st)) != nil {
		return 0
	}
	return st.Rx_dropped + st.Rx_ring_full
}

// Close ends the socket; frames not yet sent may be lost.
func (s *Socket) Close() error {
	var err error
	for _, fd := range []*int{&s.txFD, &s.fd} {
		if *fd >= 0 {
			err = errors.Join(err, unix.Close(*fd))
			*fd = -1
		}
	}
	err = errors.Join(err, s.rx.unmap(), s.tx.unmap(), s.fill.unmap(), s.completion.unmap())
	if s.umem != nil {
		err = errors.Join(err, unix.Munmap(s.umem))
		s.umem = nil
	}
	return err
}

func (s *Socket) fail(op string, err error) error {
	remedy := ""
	switch {
	case errors.Is(err, unix.EPERM):
		remedy = "; it needs CAP_NET_RAW"
	case errors.Is(err, unix.ENOBUFS):
		remedy = "; the locked memory limit is too low: LimitMEMLOCK=infinity"
	}
	return fmt.Errorf("AF_XDP: device %d queue %d: %s: %w%s", s.ifindex, s.queue, op, err, remedy)
}
