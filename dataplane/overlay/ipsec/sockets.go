package ipsec

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// deep is what each of charon's sockets may hold, in octets as SO_RCVBUF counts
// them: half a second at 10,000 packets a second. A kernel's default holds a
// hundred packets, and charon in user space need be without a processor for no
// longer than that to lose one; it has no setting for it.
const deep = 16 << 20

// deepen gives the Internet sockets of a charon that does ESP itself room for
// what comes while it has no processor.
func deepen(pidfd, pid int) error {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	all, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range all {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err != nil || !strings.HasPrefix(to, "socket:") {
			continue // closed meanwhile, or another kind
		}
		fd, err := unix.PidfdGetfd(pidfd, n, 0)
		if err != nil {
			return fmt.Errorf("charon's socket %d: %w", n, err)
		}
		err = deepenSocket(fd)
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("charon's socket %d: %w", n, err)
		}
	}
	return nil
}

func deepenSocket(fd int) error {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_INET && domain != unix.AF_INET6 {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, deep)
}
