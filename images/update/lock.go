package update

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lock keeps a second install out. Of a lock of an open file description others can ask
// who has it, without taking it.
func (m *Machine) lock() (unlock func(), err error) {
	if err := os.MkdirAll(m.State, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(m.lockFile(), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, whole()); err != nil {
		f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, errors.New("another install goes on; wait for its end")
		}
		return nil, fmt.Errorf("lock %s: %w", m.lockFile(), err)
	}
	return func() { f.Close() }, nil
}

// installing tells whether an install goes on.
func (m *Machine) installing() (bool, error) {
	f, err := os.OpenFile(m.lockFile(), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	l := whole()
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, l); err != nil {
		return false, fmt.Errorf("lock %s: %w", m.lockFile(), err)
	}
	return l.Type != unix.F_UNLCK, nil
}

func (m *Machine) lockFile() string { return filepath.Join(m.State, "lock") }

// whole is a write lock of all of a file.
func whole() *unix.Flock_t { return &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart} }
