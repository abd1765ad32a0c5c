package reconcile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrClaimed says that another daemon runs in the network namespace.
var ErrClaimed = errors.New("another linkseal daemon runs in this network namespace, and each would delete the devices and filters of the other; stop that one, or put the ports of both into one configuration")

// Claim holds the network namespace for one daemon until Close or the end of
// the process: what linkseal made and the configuration does not have is
// deleted, so two daemons would fight. The claim is a lock on a file in dir,
// made if absent, that is named by the namespace and stays. ErrClaimed, by
// errors.Is, is the other daemon; any other error is a claim that cannot be
// made.
func (k *Kernel) Claim(dir string) error {
	path := filepath.Join(dir, fmt.Sprintf("netns-%d.lock", k.ns.Inode()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("claim of the network namespace: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("claim of the network namespace: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case err == nil:
		k.claim = f
		return nil
	case errors.Is(err, unix.EWOULDBLOCK):
		err = ErrClaimed
	}
	return errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
}
