package leak

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// process is one whose memory is read.
type process struct{ mem, pagemap *os.File }

func open(pid int) (*process, error) {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, err
	}
	pagemap, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		return nil, errors.Join(err, mem.Close())
	}
	return &process{mem, pagemap}, nil
}

// Close closes its files.
func (p *process) Close() error { return errors.Join(p.mem.Close(), p.pagemap.Close()) }

// touched tells whether one of the pages of n octets at from is in memory or
// swapped out: /proc/PID/pagemap has 8 octets for each, of which bits 63 and 62
// say so. Others are zero, or a file's as they are on the disk.
func (p *process) touched(from uint64, n int) (bool, error) {
	page := uint64(os.Getpagesize())
	first, last := from/page, (from+uint64(n)-1)/page
	entries := make([]byte, 8*(last-first+1))
	if _, err := p.pagemap.ReadAt(entries, int64(8*first)); err != nil {
		return false, fmt.Errorf("pagemap: %w", err)
	}
	for at := 0; at < len(entries); at += 8 {
		if binary.NativeEndian.Uint64(entries[at:])>>62 != 0 {
			return true, nil
		}
	}
	return false, nil
}
