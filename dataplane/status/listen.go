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
	group uint32 // whose members may use it
	lock  *os.File
	close sync.Once
	err   error
}

// Listen opens the control socket at path for root and the members of group,
// below 0 the group that the process runs as: mode 0660, in that group. The
// directory for it is made, mode 0755, if absent. A socket that a dead daemon left is replaced; with
// a live one there the error says so. PATH.lock, which stays, makes sure of
// that when two daemons start at once.
func Listen(path string, group int) (*Listener, error) {
	fail := func(err error) (*Listener, error) { return nil, fmt.Errorf("control socket %s: %w", path, err) }
	if group < 0 {
		group = os.Getegid()
	}
	if err := makeWay(filepath.Dir(path)); err != nil {
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
	l, err := bind(path, group)
	if err != nil {
		lock.Close()
		return fail(err)
	}
	return &Listener{UnixListener: l, path: path, group: uint32(group), lock: lock}, nil
}

// makeWay makes dir if it is not there. Whatever the umask, the group may
// pass it.
func makeWay(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755))
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
// group and mode are right: nobody can connect before.
func bind(path string, group int) (*net.UnixListener, error) {
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
	err = own(temporary, group)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		l.Close()
		os.Remove(temporary)
		return nil, err
	}
	return l, nil
}

// own gives the socket to group: in a directory with the setgid bit even the
// process's own has to be set.
func own(socket string, group int) error {
	if err := give(socket, group); err != nil {
		return fmt.Errorf("it cannot be given to group %d: %w; run as root, as a member of that group, or with CAP_CHOWN", group, err)
	}
	return os.Chmod(socket, 0o660)
}

// Close removes the socket and lets the path go. It may be called again.
func (l *Listener) Close() error {
	l.close.Do(func() {
		l.err = errors.Join(os.Remove(l.path), l.UnixListener.Close(), l.lock.Close())
	})
	return l.err
}
