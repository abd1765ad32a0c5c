package ipsec

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/broker"
)

// deep is what each of charon's sockets may hold, in octets as SO_RCVBUF counts
// them: half a second at 10,000 packets a second. A kernel's default holds a
// hundred packets, and charon in user space need be without a processor for no
// longer than that to lose one; it has no setting for it.
const deep = 16 << 20

// deepen is by the broker if there is one: to take another process's sockets is denied
// to a daemon that reads what peers send.
func (p *process) deepen() error {
	if !broker.Configured() {
		return deepen(int(p.pidfd.Fd()), p.pid)
	}
	_, _, err := broker.Ask(broker.Request{What: broker.Deepen, A: uint32(p.pid)})
	return err
}

// Lend is broker.Lend of broker.Deepen: of a charon, and of nothing else.
func Lend(pid, _ uint32) (fd int, text string, err error) {
	own, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		return -1, "", fmt.Errorf("process %d: %w", pid, err)
	}
	defer unix.Close(own)
	if exe, is := charon(int(pid)); !is {
		return -1, "", fmt.Errorf("process %d is %q, and no charon: %w", pid, exe, unix.EPERM)
	}
	return -1, "", deepen(own, int(pid))
}

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
