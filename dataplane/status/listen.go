package status

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Listener is the control socket. As long as it is open no other daemon gets
// one at the same path.
type Listener struct {
	*net.UnixListener
	path  string
	lock  *os.File
	close sync.Once
	err   error
}

// Listen opens the control socket at path, mode 0660, and the directory for
// it, mode 0755, if absent. A socket that a dead daemon left is replaced; with
// a live one there the error says so. PATH.lock, which stays, makes sure of
// that when two daemons start at once.
func Listen(path string) (*Listener, error) {
	fail := func(err error) (*Listener, error) { return nil, fmt.Errorf("control socket %s: %w", path, err) }
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fail(err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fail(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fail(errBusy)
		}
		return fail(fmt.Errorf("lock: %w", err))
	}
	if answers(path) { // its lock file was removed
		lock.Close()
		return fail(errBusy)
	}
	l, err := bind(path)
	if err != nil {
		lock.Close()
		return fail(err)
	}
	return &Listener{UnixListener: l, path: path, lock: lock}, nil
}

var errBusy = errors.New("another linkseal daemon has it; stop that one, or, in another network namespace, give this one its own `control: {socket: PATH}`")

func answers(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// bind makes the socket under another name and moves it into place when its
// mode is right: nobody can connect before.
func bind(path string) (*net.UnixListener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != os.ModeSocket {
		return nil, errors.New("there is a file of that name that is not a socket; remove it")
	}
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(temporary, 0o660), os.Rename(temporary, path)); err != nil {
		l.Close()
		os.Remove(temporary)
		return nil, err
	}
	return l, nil
}

// Close removes the socket and lets the path go. It may be called again.
func (l *Listener) Close() error {
	l.close.Do(func() {
		l.err = errors.Join(os.Remove(l.path), l.UnixListener.Close(), l.lock.Close())
	})
	return l.err
}
