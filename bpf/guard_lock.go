package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockPath is where root alone makes files, the daemon's unit included, which may
	// write nowhere else in /run; and for root alone: whoever can open a file can lock
	// it. Processes with a /run of their own may meet; see renewGuard.
	lockPath = "/run/linkseal/guard.lock"
	// lockWait is longer than who has it takes, some milliseconds, and not too long
	// for who reconciles.
	lockWait = time.Second
	lockTry  = 5 * time.Millisecond
)

// takeLock waits until no other process has the file, which it has for as long as
// that is open, however it ends. Its directory is made if it is not there: the control
// socket's, which others than root may pass.
func takeLock(path string, wait time.Duration) (int, error) {
	dir := filepath.Dir(path)
	switch err := os.Mkdir(dir, 0o755); {
	case err == nil:
		if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
			return -1, fmt.Errorf("directory of the guard's lock: %w", err)
		}
	case !errors.Is(err, os.ErrExist):
		return -1, fmt.Errorf("directory of the guard's lock: %w; it is to be writable", err)
	}
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w; its directory is to be there, and writable", path, err)
	}
	for deadline := time.Now().Add(wait); ; time.Sleep(lockTry) {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return fd, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN) && time.Now().Before(deadline):
			continue
		case errors.Is(err, unix.EAGAIN):
			err = fmt.Errorf("%w: another process has had it for %v; `fuser %s` tells which", err, wait, path)
		}
		return -1, errors.Join(fmt.Errorf("lock %s: %w", path, err), unix.Close(fd))
	}
}
