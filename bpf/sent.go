package bpf

import (
	"errors"
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
// of the maps sent and sent_sas. It goes with the last reference to it, not
// with a Close: a goroutine may still be counting then.
type sentMemory struct {
	all *portSent
	sas []portSaCounter // by counter
}

func mapSent(maps mapsByName) (*sentMemory, error) {
	if maps[portMapSent] == nil || maps[portMapSentSas] == nil {
		return nil, errOtherVersion
	}
	var pages [2][]byte
	for i, want := range []struct {
		name string
		size uintptr
	}{{portMapSent, unsafe.Sizeof(portSent{})}, {portMapSentSas, maxSAs * unsafe.Sizeof(portSaCounter{})}} {
		page := uintptr(os.Getpagesize())
		b, err := unix.Mmap(maps[want.name].FD(), 0, int((want.size+page-1)/page*page), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			if i > 0 {
				err = errors.Join(err, unix.Munmap(pages[0]))
			}
			return nil, fmt.Errorf("map %s into memory: %w", want.name, err)
		}
		pages[i] = b
	}
	m := &sentMemory{(*portSent)(unsafe.Pointer(&pages[0][0])), unsafe.Slice((*portSaCounter)(unsafe.Pointer(&pages[1][0])), maxSAs)}
	runtime.AddCleanup(m, func(pages [2][]byte) { _, _ = unix.Munmap(pages[0]), unix.Munmap(pages[1]) }, pages)
	return m, nil
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
	atomic.CompareAndSwapUint32(&c.PnLow, 0, b.First)
	for {
		high := atomic.LoadUint32(&c.PnHigh)
		if high != 0 && int32(b.Last-high) <= 0 || atomic.CompareAndSwapUint32(&c.PnHigh, high, b.Last) {
			break
		}
	}
	runtime.KeepAlive(m)
}

// point gives an AN its counter.
func (m *sentMemory) point(an uint8, i int) {
	atomic.StoreUint32(&m.all.Counter[an&3], uint32(i))
	runtime.KeepAlive(m)
}

func (m *sentMemory) read(i int) (c portSaCounter) {
	at := &m.sas[i]
	c.Packets, c.Octets, c.Seen = atomic.LoadUint64(&at.Packets), atomic.LoadUint64(&at.Octets), atomic.LoadUint64(&at.Seen)
	c.PnLow, c.PnHigh = atomic.LoadUint32(&at.PnLow), atomic.LoadUint32(&at.PnHigh)
	runtime.KeepAlive(m)
	return c
}

// zero is for a counter that no AN has.
func (m *sentMemory) zero(i int) {
	m.sas[i] = portSaCounter{}
	runtime.KeepAlive(m)
}
