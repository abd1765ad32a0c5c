// Package drive is a disk with a volatile write cache: what the guest wrote and
// did not flush may be lost when the power goes, page by page, in no order, as
// with a real drive. QEMU reaches it over NBD. (A killed QEMU alone loses nothing
// that the guest wrote: this machine's page cache has it.)
package drive

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
)

const (
	// Page is what is written as a whole or not at all: the physical sector of
	// today's drives.
	Page = 4096
	// cachePages is what the cache holds; more is written in no order.
	cachePages = 8 << 20 / Page
)

// Drive reads from a base that it never writes, and keeps pages of its own.
type Drive struct {
	base io.ReaderAt
	size int64

	client sync.Mutex // held while somebody is connected
	mu     sync.Mutex
	own    *os.File // pages that have reached the medium
	stable map[int64]bool
	cache  map[int64][]byte // pages that have not
	random *rand.Rand
}

// New returns a drive of that size that begins as base is, and grows beyond it with
// zeros. Its pages go to the file at path. Of the same writes and flushes in the same
// order, power cuts take the same with the same seed.
func New(base io.ReaderAt, size int64, path string, seed uint64) (*Drive, error) {
	own, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if size%Page != 0 {
		return nil, fmt.Errorf("a drive of %d octets: no whole number of pages of %d", size, Page)
	}
	return &Drive{base: base, size: size, own: own, stable: map[int64]bool{}, cache: map[int64][]byte{},
		random: rand.New(rand.NewPCG(seed, seed))}, nil
}

// Size is the drive's in octets.
func (d *Drive) Size() int64 { return d.size }

// Close removes its pages.
func (d *Drive) Close() error {
	os.Remove(d.own.Name())
	return d.own.Close()
}

// ReadAt reads what was last written.
func (d *Drive) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for done := 0; done < len(p); {
		at := off + int64(done)
		if at >= d.size {
			return done, io.EOF
		}
		page, err := d.page(at / Page)
		if err != nil {
			return done, err
		}
		done += copy(p[done:], page[at%Page:])
	}
	return len(p), nil
}

// page returns a page as the guest sees it.
func (d *Drive) page(n int64) ([]byte, error) {
	if page, ok := d.cache[n]; ok {
		return page, nil
	}
	page := make([]byte, Page)
	from := d.base
	if d.stable[n] {
		from = d.own
	}
	if _, err := from.ReadAt(page, n*Page); err != nil && err != io.EOF {
		return nil, err
	}
	return page, nil
}

// writeAt writes into the cache; through it, with through.
func (d *Drive) writeAt(p []byte, off int64, through bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if off < 0 || off+int64(len(p)) > d.size {
		return fmt.Errorf("a write of %d octets at %d, behind the end at %d", len(p), off, d.size)
	}
	for len(p) > 0 {
		n := off / Page
		page, err := d.page(n)
		if err != nil {
			return err
		}
		k := copy(page[off%Page:], p)
		d.cache[n] = page
		if through {
			if err := d.store(n); err != nil {
				return err
			}
		}
		p, off = p[k:], off+int64(k)
	}
	if over := len(d.cache) - cachePages; over > 0 {
		pages := d.cached()
		d.random.Shuffle(len(pages), func(i, j int) { pages[i], pages[j] = pages[j], pages[i] })
		for _, n := range pages[:over] {
			if err := d.store(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// cached are the numbers of the pages in the cache. They are in order: in a map's own,
// which is another each time, what is drawn of them would not be the seed's doing.
func (d *Drive) cached() []int64 { return slices.Sorted(maps.Keys(d.cache)) }

// store brings a page of the cache to the medium.
func (d *Drive) store(n int64) error {
	if _, err := d.own.WriteAt(d.cache[n], n*Page); err != nil {
		return err
	}
	d.stable[n] = true
	delete(d.cache, n)
	return nil
}

// Flush brings all of the cache to the medium.
func (d *Drive) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := range d.cache {
		if err := d.store(n); err != nil {
			return err
		}
	}
	return nil
}

// Cut is a loss of power: of the pages in the cache some reach the medium, the
// others are lost. It returns how many were. Who was connected has to be gone, or on
// the way: it waits for that.
func (d *Drive) Cut() (lost int, err error) {
	d.client.Lock()
	defer d.client.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.cached() {
		if d.random.IntN(2) == 0 {
			delete(d.cache, n)
			lost++
		} else if err := d.store(n); err != nil {
			return lost, err
		}
	}
	return lost, nil
}
