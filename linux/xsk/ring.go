package xsk

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is one of the four (Documentation/networking/af_xdp.rst): the one side
// writes producer and descriptors, the other consumer. next is our own side's
// index, which runs ahead of what is published.
type ring struct {
	mem                       []byte
	producer, consumer, flags *uint32
	descriptors               []byte
	mask                      uint32
	next                      uint32
}

const (
	addressLen    = 8  // a descriptor of fill and completion: an offset into the UMEM
	descriptorLen = 16 // struct xdp_desc of rx and tx: offset, length, options
)

func mapRing(fd int, at unix.XDPRingOffset, page int64, size, entries int) (r ring, err error) {
	r.mem, err = unix.Mmap(fd, page, int(at.Desc)+entries*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return r, fmt.Errorf("map a ring: %w", err)
	}
	word := func(offset uint64) *uint32 { return (*uint32)(unsafe.Pointer(&r.mem[offset])) }
	r.producer, r.consumer, r.flags = word(at.Producer), word(at.Consumer), word(at.Flags)
	r.descriptors, r.mask = r.mem[at.Desc:], uint32(entries-1)
	return r, nil
}

func (r *ring) unmap() error {
	if r.mem == nil {
		return nil
	}
	err := unix.Munmap(r.mem)
	*r = ring{}
	return err
}

// ready is how many entries the kernel has produced that we did not consume.
func (r *ring) ready() int { return int(atomic.LoadUint32(r.producer) - r.next) }

func (r *ring) wakeup() bool {
	return atomic.LoadUint32(r.flags)&unix.XDP_RING_NEED_WAKEUP != 0
}

func (r *ring) publish() { atomic.StoreUint32(r.producer, r.next) }
func (r *ring) consume() { atomic.StoreUint32(r.consumer, r.next) }

func (r *ring) putAddress(a uint64) {
	binary.NativeEndian.PutUint64(r.descriptors[(r.next&r.mask)*addressLen:], a)
	r.next++
}

func (r *ring) address() uint64 {
	a := binary.NativeEndian.Uint64(r.descriptors[(r.next&r.mask)*addressLen:])
	r.next++
	return a
}

func (r *ring) putFrame(a uint64, n int) {
	d := r.descriptors[(r.next&r.mask)*descriptorLen:][:descriptorLen]
	binary.NativeEndian.PutUint64(d, a)
	binary.NativeEndian.PutUint32(d[8:], uint32(n))
	binary.NativeEndian.PutUint32(d[12:], 0)
	r.next++
}

func (r *ring) frame() (a uint64, n int) {
	d := r.descriptors[(r.next&r.mask)*descriptorLen:][:descriptorLen]
	r.next++
	return binary.NativeEndian.Uint64(d), int(binary.NativeEndian.Uint32(d[8:]))
}
