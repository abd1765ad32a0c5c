package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// ErrClosed is what a closed NS answers.
var ErrClosed = errors.New("network namespace: closed")

// Do runs f on a thread inside the namespace and puts the thread back. What f
// opens belongs to the namespace and stays in it: sockets, netlink
// connections, children. Goroutines that f starts run outside it. Do nests.
// In the namespace that the caller is in already it needs no privilege,
// elsewhere CAP_SYS_ADMIN.
func (n *NS) Do(f func() error) error {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.file == nil {
		return ErrClosed
	}
	return onThread(func() error {
		old, err := os.Open(threadPath)
		if err != nil {
			return fmt.Errorf("network namespace: %w", err)
		}
		defer old.Close()
		at, err := identify(old)
		if err != nil {
			return fmt.Errorf("network namespace: %w", err)
		}
		if at == n.id {
			return f()
		}
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("network namespace %s: setns: %w (it needs CAP_SYS_ADMIN)", n.path, err)
		}
		defer restore(old) // also when f panics or ends its goroutine
		return f()
	})
}

// restore puts the locked thread back into old. A thread that cannot be put
// back is locked once more, so that the runtime ends it with its goroutine
// and never runs another on it.
func restore(old *os.File) {
	if err := unix.Setns(int(old.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.LockOSThread()
	}
}
