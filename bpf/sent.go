package bpf

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Batch is MACsec frames that were sent with one AN: how many, their octets
// without FCS, and the first and the last PN as the SecTAGs have them.
type Batch struct {
	AN              uint8
	Packets, Octets uint64
	First, Last     uint32
}

// sentMemory is where user space counts what it has sent: the kernel's memory
// of the maps sent, sent_sas and sa_firsts. It goes with the last reference to it,
// not with a Close: a goroutine may still be counting then.
type sentMemory struct {
	all    *portSent
	sas    *[maxSAs]portNumbered // by counter
	firsts *[maxSAs]uint64
}

func mapSent(maps mapsByName) (m *sentMemory, err error) {
	m = &sentMemory{}
	if m.all, err = mapped[portSent](m, maps, portMapSent); err != nil {
		return nil, err
	}
	if m.sas, err = mapped[[maxSAs]portNumbered](m, maps, portMapSentSas); err != nil {
		return nil, err
	}
	m.firsts, err = mapped[[maxSAs]uint64](m, maps, portMapSaFirsts)
	return m, err
}

// mapped is the kernel's memory of an array as a T. It goes with owner.
func mapped[T, O any](owner *O, maps mapsByName, name string) (*T, error) {
	if maps[name] == nil {
		return nil, errOtherVersion
	}
	var of T
	page := uintptr(os.Getpagesize())
	b, err := unix.Mmap(maps[name].FD(), 0, int((unsafe.Sizeof(of)+page-1)/page*page), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s into memory: %w", name, err)
	}
	runtime.AddCleanup(owner, func(b []byte) { _ = unix.Munmap(b) }, b)
	return (*T)(unsafe.Pointer(&b[0])), nil
}

// add counts a batch that was sent now.
func (m *sentMemory) add(b Batch, now time.Time) {
	atomic.AddUint64(&m.all.All.Packets, b.Packets)
	atomic.AddUint64(&m.all.All.Octets, b.Octets)
	i := atomic.LoadUint32(&m.all.Counter[b.AN&3])
	c := &m.sas[i%maxSAs]
	atomic.AddUint64(&c.Packets, b.Packets)
	atomic.AddUint64(&c.Octets, b.Octets)
	atomic.StoreUint64(&c.Seen, uint64(now.UnixNano()))
	atomic.CompareAndSwapUint64(&m.firsts[i%maxSAs], 0, hasFirst|uint64(b.First))
	for {
		high := atomic.LoadUint32(&c.High)
		if high != 0 && int32(b.Last-high) <= 0 || atomic.CompareAndSwapUint32(&c.High, high, b.Last) {
			break
		}
	}
	atomic.StoreUint32(&c.HasHigh, 1)
	runtime.KeepAlive(m)
}

// point gives an AN its counter.
func (m *sentMemory) point(an uint8, i int) {
	atomic.StoreUint32(&m.all.Counter[an&3], uint32(i))
	runtime.KeepAlive(m)
}

func (m *sentMemory) read(i int) (c portNumbered, low uint64) {
	at := &m.sas[i]
	c.Packets, c.Octets, c.Seen = atomic.LoadUint64(&at.Packets), atomic.LoadUint64(&at.Octets), atomic.LoadUint64(&at.Seen)
	c.High, c.HasHigh = atomic.LoadUint32(&at.High), atomic.LoadUint32(&at.HasHigh)
	low = atomic.LoadUint64(&m.firsts[i])
	runtime.KeepAlive(m)
	return c, low
}

// zero is for a counter that no AN has.
func (m *sentMemory) zero(i int) {
	m.sas[i], m.firsts[i] = portNumbered{}, 0
	runtime.KeepAlive(m)
}
