package kill

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// change is a system call that changes files, by what tells the file.
type change struct {
	nr   uint32
	name string
	// path is the argument that has the path that is made or taken away, fd the
	// one that has a descriptor of the file; -1: none.
	path, dir, fd int
}

// changes are those that Go makes on amd64 and arm64. Of openat those alone are
// meant that may make a file or write to it.
var changes = []change{
	{unix.SYS_OPENAT, "openat", 1, 0, -1},
	{unix.SYS_WRITE, "write", -1, -1, 0},
	{unix.SYS_FSYNC, "fsync", -1, -1, 0},
	{unix.SYS_FTRUNCATE, "ftruncate", -1, -1, 0},
	{unix.SYS_FCHMOD, "fchmod", -1, -1, 0},
	{unix.SYS_FCHOWN, "fchown", -1, -1, 0},
	{unix.SYS_FCHMODAT, "fchmodat", 1, 0, -1},
	{unix.SYS_RENAMEAT, "renameat", 3, 2, -1},
	{unix.SYS_RENAMEAT2, "renameat2", 3, 2, -1},
	{unix.SYS_LINKAT, "linkat", 3, 2, -1},
	{unix.SYS_UNLINKAT, "unlinkat", 1, 0, -1},
	{unix.SYS_MKDIRAT, "mkdirat", 1, 0, -1},
}

// Offsets in seccomp_data, seccomp(2); of a little-endian machine.
const (
	offNr    = 0
	offArch  = 4
	offFlags = 16 + 2*8 // of openat, its lower half
)

// filter stops a thread at each of changes, in classic BPF; writes says whether
// at write too: a daemon that forwards frames writes all the time.
func filter(writes bool) ([]unix.SockFilter, error) {
	arch, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("system calls of %s are not known here; accepted: amd64, arm64", runtime.GOARCH)
	}
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	skip := func(test uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | test, K: k, Jt: yes, Jf: no}
	}
	end := func(with uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: with} }
	p := []unix.SockFilter{
		load(offArch), skip(unix.BPF_JEQ, arch, 1, 0), end(unix.SECCOMP_RET_ALLOW),
		load(offNr),
	}
	for _, c := range changes {
		switch {
		case c.nr == unix.SYS_OPENAT:
			p = append(p, skip(unix.BPF_JEQ, c.nr, 0, 4), load(offFlags),
				skip(unix.BPF_JSET, unix.O_WRONLY|unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC, 0, 1), end(unix.SECCOMP_RET_USER_NOTIF), end(unix.SECCOMP_RET_ALLOW))
		case c.nr != unix.SYS_WRITE || writes:
			p = append(p, skip(unix.BPF_JEQ, c.nr, 0, 1), end(unix.SECCOMP_RET_USER_NOTIF))
		}
	}
	return append(p, end(unix.SECCOMP_RET_ALLOW)), nil
}

// install puts the filter on the calling thread, and on what it becomes and
// starts. It returns the descriptor at which the stops are told.
func install(writes bool) (int, error) {
	p, err := filter(writes)
	if err != nil {
		return -1, err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, fmt.Errorf("PR_SET_NO_NEW_PRIVS: %w", err)
	}
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	// With WAIT_KILLABLE_RECV no signal of Go's scheduler has a call stop twice.
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return -1, fmt.Errorf("seccomp: %w (it needs Linux 5.19)", errno)
	}
	return int(fd), nil
}
