package bpf

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// progQuery is union bpf_attr of BPF_PROG_QUERY (include/uapi/linux/bpf.h).
type progQuery struct {
	target, attach, flags, attachFlags uint32
	ids                                uint64
	count, pad                         uint32
	idsFlags, links, linksFlags        uint64
	revision                           uint64
}

// TCXPrograms names the programs that TCX has on the device with that index in
// the calling thread's network namespace, both ways and in their order, by ids
// that the kernel does not use again: of the first eight, and of all how many and
// how often they have changed. It is empty where there are none, or no TCX. It is
// asked many times a second, and so is one system call a direction; the library
// makes two.
func TCXPrograms(ifindex int) (names string) {
	const progQueryCommand = 16
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		var ids [8]uint32
		var pinned runtime.Pinner
		pinned.Pin(&ids)
		q := &progQuery{target: uint32(ifindex), attach: uint32(at), ids: uint64(uintptr(unsafe.Pointer(&ids[0]))), count: uint32(len(ids))}
		_, _, e := unix.Syscall(unix.SYS_BPF, progQueryCommand, uintptr(unsafe.Pointer(q)), unsafe.Sizeof(*q))
		pinned.Unpin()
		if e != 0 && !errors.Is(e, unix.ENOSPC) { // of more than eight it tells eight
			return ""
		}
		if q.count > 0 {
			names += fmt.Sprintf("%s %d %d %v ", at, q.count, q.revision, ids)
		}
	}
	return names
}
