package probe

import (
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inScratch runs f on a thread of its own in a new network namespace. The
// thread ends with the call, and with it the namespace and all that is in it.
func inScratch(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: Go ends the thread with the goroutine, so that no
		// other goroutine can wake up in the namespace.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("new network namespace to try it in: %w", os.NewSyscallError("unshare", err))
			return
		}
		done <- f()
	}()
	return <-done
}

// Names of the pair that inVeth makes.
const vethA, vethB = "probe0", "probe1"

// inVeth is inScratch with a veth pair in the namespace, both ends up.
func inVeth(f func(a netlink.Link) error) error {
	return inScratch(func() error {
		la := netlink.NewLinkAttrs()
		la.Name = vethA
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: la, PeerName: vethB}); err != nil {
			return fmt.Errorf("add a veth pair: %w", err)
		}
		var first netlink.Link
		for _, name := range []string{vethB, vethA} {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return fmt.Errorf("find %s: %w", name, err)
			}
			if err := netlink.LinkSetUp(l); err != nil {
				return fmt.Errorf("set %s up: %w", name, err)
			}
			first = l
		}
		return f(first)
	})
}
