package locked

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

var pageSize = unix.Getpagesize()

// mmap gives s that many octets, whole pages, between two that cannot be
// touched. What the kernel refuses to do for them is s.fault.
func (s *slab) mmap(octets int) error {
	all, err := unix.Mmap(-1, 0, octets+2*pageSize, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	s.octets = all[pageSize : pageSize+octets : pageSize+octets]
	if err := unix.Mprotect(s.octets, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return errors.Join(fmt.Errorf("mprotect: %w", err), unix.Munmap(all))
	}
	s.all = all
	if err := unix.Mlock(s.octets); err != nil {
		s.fault = fmt.Errorf("key memory may be swapped out: mlock of %d octets: %w; raise RLIMIT_MEMLOCK (LimitMEMLOCK= of the unit, ulimit -l), or give CAP_IPC_LOCK", octets, err)
	}
	for _, a := range []struct {
		advice      int
		name        string
		consequence string
	}{
		{unix.MADV_DONTDUMP, "MADV_DONTDUMP", "may be in core files"},
		{unix.MADV_DONTFORK, "MADV_DONTFORK", "may be in child processes"},
	} {
		if err := unix.Madvise(s.octets, a.advice); err != nil {
			s.fault = errors.Join(s.fault, fmt.Errorf("key memory %s: %s: %w; this kernel lacks it, or a seccomp filter refuses it", a.consequence, a.name, err))
		}
	}
	return nil
}

// unmap gives the pages back. That cannot fail on a mapping that there is.
func (s *slab) unmap() {
	if err := unix.Munmap(s.all); err != nil {
		panic(fmt.Sprintf("locked memory: munmap: %v", err))
	}
}
