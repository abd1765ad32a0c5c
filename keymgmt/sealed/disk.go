package sealed

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is one directory, an operation a method: a test that stands in for it
// can end between any two. Names are without a directory.
type disk interface {
	// lock keeps other processes from writing; it waits.
	lock() (unlock func(), err error)
	// read returns up to max octets of a file that only its owner may read,
	// and the owner is root or this user. The error is fs.ErrNotExist,
	// wrapped, or an *accessError.
	read(name string, max int) ([]byte, error)
	// create makes a file that is not there, mode 0600.
	create(name string) (file, error)
	rename(from, to string) error
	// remove is no error if nothing is there.
	remove(name string) error
	// sync makes what was created, renamed and removed durable.
	sync() error
	path(name string) string
}

type file interface {
	io.WriteCloser
	Sync() error
}

// replace gives a file new content, whole or not at all, durable when it
// returns. The caller has the lock.
func replace(d disk, name string, data []byte) (err error) {
	tmp := "." + name + ".new"
	// Of a writer that died.
	if err := d.remove(tmp); err != nil {
		return err
	}
	f, err := d.create(tmp)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.remove(tmp))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := d.rename(tmp, name); err != nil {
		return err
	}
	return d.sync()
}

// accessError is a file that is not read because of what it is.
type accessError struct {
	path, what, accepted string
	err                  error
}

func (e *accessError) Error() string {
	return fmt.Sprintf("%s %s; accepted: %s", e.path, e.what, e.accepted)
}

func (e *accessError) Unwrap() error { return e.err }

// directory is a disk that is one.
type directory struct {
	dir string
	// acl admits files that the group root may read: where an access control
	// list lets a user in, the group's bits are its mask (acl(5)).
	acl bool
}

// private is the mode of what linkseal writes.
const private = 0o600

func (d directory) path(name string) string { return filepath.Join(d.dir, name) }

func (d directory) lock() (func(), error) {
	f, err := os.Open(d.dir)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", d.dir, err)
	}
	return func() { f.Close() }, nil
}

func (d directory) read(name string, max int) ([]byte, error) {
	path := d.path(name)
	// O_NONBLOCK: a FIFO in place of the file must not hang the daemon.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, &accessError{path, "cannot be opened: " + cause(err), "a file that this user may read", err}
	}
	defer f.Close()
	if err := d.trusted(f); err != nil {
		return nil, err
	}
	data := make([]byte, 0, max+1)
	for len(data) < cap(data) {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			clear(data)
			return nil, &accessError{path, "cannot be read: " + cause(err), "a file on a sound disk", err}
		}
	}
	clear(data)
	return nil, &accessError{path: path, what: fmt.Sprintf("has more than %d octets", max), accepted: fmt.Sprintf("up to %d", max)}
}

// trusted checks kind, owner and mode of the open file itself: nothing can be
// put in its place in between.
func (d directory) trusted(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &accessError{f.Name(), "cannot be examined: " + err.Error(), "a regular file", err}
	}
	uid := uint32(os.Geteuid())
	mode := uint32(private)
	if d.acl && st.Gid == 0 {
		mode |= 0o040
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return &accessError{path: f.Name(), what: "is not a regular file", accepted: "a regular file"}
	case st.Uid != 0 && st.Uid != uid:
		return &accessError{path: f.Name(), what: fmt.Sprintf("belongs to user %d", st.Uid), accepted: fmt.Sprintf("owner root or user %d (chown %d %s)", uid, uid, f.Name())}
	case st.Mode&0o7777&^mode != 0:
		return &accessError{path: f.Name(), what: fmt.Sprintf("has mode %#o", st.Mode&0o7777), accepted: fmt.Sprintf("mode %#o or stricter (chmod %#o %s)", mode, mode, f.Name())}
	}
	return nil
}

func (d directory) create(name string) (file, error) {
	return os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, private)
}

func (d directory) rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d directory) remove(name string) error {
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d directory) sync() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// cause is err without the operation and the path, which the message has.
func cause(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
