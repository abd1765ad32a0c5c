package bpf

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

const (
	xskFrames = 64 // of memory and of each ring
	xskFrame  = 4096
)

// xsk is the least AF_XDP socket that receives: it gives no memory back, and so
// takes 64 frames in its life.
type xsk struct {
	fd             int
	umem, fill, rx []byte
	off            unix.XDPRingOffset
	taken          uint32
}

// xsk opens a socket on RX queue 0 of l.
func (w *testWire) xsk(t testing.TB, l netlink.Link) *xsk {
	t.Helper()
	probetest.Need(t, probe.AFXDP)
	s := &xsk{fd: -1}
	w.do(t, func() (err error) {
		if s.fd, err = unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		t.Cleanup(s.close)
		if s.umem, err = unix.Mmap(-1, 0, xskFrames*xskFrame, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE); err != nil {
			return err
		}
		reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&s.umem[0]))), Len: uint64(len(s.umem)), Size: xskFrame}
		raw := string(unsafe.Slice((*byte)(unsafe.Pointer(&reg)), unsafe.Sizeof(reg)))
		if err := unix.SetsockoptString(s.fd, unix.SOL_XDP, unix.XDP_UMEM_REG, raw); err != nil {
			return err
		}
		for _, ring := range []int{unix.XDP_UMEM_FILL_RING, unix.XDP_UMEM_COMPLETION_RING, unix.XDP_RX_RING} {
			if err := unix.SetsockoptInt(s.fd, unix.SOL_XDP, ring, xskFrames); err != nil {
				return err
			}
		}
		var off unix.XDPMmapOffsets
		size := uint32(unsafe.Sizeof(off))
		if _, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_XDP, unix.XDP_MMAP_OFFSETS, uintptr(unsafe.Pointer(&off)), uintptr(unsafe.Pointer(&size)), 0); e != 0 {
			return e
		}
		s.fill, err = unix.Mmap(s.fd, unix.XDP_UMEM_PGOFF_FILL_RING, int(off.Fr.Desc)+8*xskFrames, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return err
		}
		for i := range uint64(xskFrames) {
			*(*uint64)(unsafe.Pointer(&s.fill[off.Fr.Desc+8*i])) = i * xskFrame
		}
		atomic.StoreUint32((*uint32)(unsafe.Pointer(&s.fill[off.Fr.Producer])), xskFrames)
		s.off = off.Rx
		if s.rx, err = unix.Mmap(s.fd, unix.XDP_PGOFF_RX_RING, int(off.Rx.Desc)+int(unsafe.Sizeof(unix.XDPDesc{}))*xskFrames, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
			return err
		}
		return unix.Bind(s.fd, &unix.SockaddrXDP{Ifindex: uint32(l.Attrs().Index), Flags: unix.XDP_COPY})
	})
	return s
}

// close closes all of it: mapped rings hold a socket as its descriptor does.
func (s *xsk) close() {
	for _, b := range []*[]byte{&s.rx, &s.fill, &s.umem} {
		if *b != nil {
			_ = unix.Munmap(*b)
		}
		*b = nil
	}
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
	}
	s.fd = -1
}

// next waits for a frame.
func (s *xsk) next(t testing.TB) []byte {
	t.Helper()
	producer := (*uint32)(unsafe.Pointer(&s.rx[s.off.Producer]))
	for atomic.LoadUint32(producer) == s.taken {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, 10_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("no frame for the socket: %v", err)
		}
	}
	d := *(*unix.XDPDesc)(unsafe.Pointer(&s.rx[s.off.Desc+uint64(s.taken%xskFrames)*uint64(unsafe.Sizeof(unix.XDPDesc{}))]))
	s.taken++
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&s.rx[s.off.Consumer])), s.taken)
	return bytes.Clone(s.umem[d.Addr : d.Addr+uint64(d.Len)])
}
