// Package locked has octets in pages of their own, outside of Go's heap: never
// swapped out (mlock), in no core file (MADV_DONTDUMP), in no child process
// (MADV_DONTFORK), between pages that cannot be touched. Freed octets are
// zeroed.
//
// Pages that cannot be locked are used all the same, since a link without its
// keys is worse than keys that may be swapped; Fault tells it.
package locked

import (
	"fmt"
	"math/bits"
	"sync"
	"unsafe"
)

// smallest is the least that is allotted, in octets: an AES-128 key.
const smallest = 16

// slab is a run of locked pages, cut into slots of one size, a power of two.
type slab struct {
	octets []byte
	size   int      // of a slot
	taken  []uint64 // a bit a slot
	free   int      // slots
	fault  error    // what could not be done for these pages; nil: nothing
	all    []byte   // the mapping
}

// pool is the process's. Slabs of less than a page stay for good: there are as
// many as were needed at the busiest moment.
var pool struct {
	sync.Mutex
	slabs map[int][]*slab // by the size of their slots
	at    map[uintptr]*slab
}

// Alloc returns n octets of zero. Their capacity is n too. It panics where the
// system has no memory, as Go does.
func Alloc(n int) []byte {
	if n <= 0 {
		return nil
	}
	size := max(smallest, 1<<bits.Len(uint(n-1)))
	pool.Lock()
	defer pool.Unlock()
	for _, s := range pool.slabs[size] {
		if s.free > 0 {
			return s.take(n)
		}
	}
	s, err := newSlab(size)
	if err != nil {
		panic(fmt.Sprintf("locked memory for %d octets: %v", n, err))
	}
	if pool.at == nil {
		pool.slabs, pool.at = map[int][]*slab{}, map[uintptr]*slab{}
	}
	pool.slabs[size] = append(pool.slabs[size], s)
	pool.at[s.base()] = s
	return s.take(n)
}

// Free zeroes what Alloc returned and takes it back. It panics on anything
// else.
func Free(b []byte) {
	if len(b) == 0 {
		return
	}
	clear(b)
	pool.Lock()
	defer pool.Unlock()
	at := uintptr(unsafe.Pointer(&b[0]))
	s := pool.at[at&^(uintptr(pageSize)-1)]
	if s == nil || !s.give(at) {
		panic("locked memory is freed that is not in use")
	}
	if s.size <= pageSize {
		return
	}
	delete(pool.at, s.base())
	delete(pool.slabs, s.size)
	s.unmap()
}

// Fault is what could not be done for memory that there is now, and what to do
// about it; nil if all is locked.
func Fault() error {
	pool.Lock()
	defer pool.Unlock()
	for _, s := range pool.at {
		if s.fault != nil {
			return s.fault
		}
	}
	return nil
}

// Check tries it out: it is Fault after an allocation.
func Check() error {
	Free(Alloc(smallest))
	return Fault()
}

// base is the first slot's address, the start of a page.
func (s *slab) base() uintptr { return uintptr(unsafe.Pointer(&s.octets[0])) }

func (s *slab) take(n int) []byte {
	for w := range s.taken {
		if i := bits.TrailingZeros64(^s.taken[w]); i < 64 {
			s.taken[w] |= 1 << i
			s.free--
			at := (w*64 + i) * s.size
			return s.octets[at : at+n : at+n]
		}
	}
	panic("a slab of locked memory has no free slot, but counts one")
}

// give tells whether there is a slot in use at that address, and frees it.
func (s *slab) give(at uintptr) bool {
	i := int(at-s.base()) / s.size
	if s.base()+uintptr(i*s.size) != at || s.taken[i/64]&(1<<(i%64)) == 0 {
		return false
	}
	s.taken[i/64] &^= 1 << (i % 64)
	s.free++
	return true
}

// newSlab maps the pages for slots of size octets.
func newSlab(size int) (*slab, error) {
	s := &slab{size: size}
	if err := s.mmap(max(size, pageSize)); err != nil {
		return nil, err
	}
	s.free = len(s.octets) / size
	s.taken = make([]uint64, (s.free+63)/64)
	// There are no slots behind the last.
	if rest := s.free % 64; rest != 0 {
		s.taken[len(s.taken)-1] = ^uint64(0) << rest
	}
	return s, nil
}
