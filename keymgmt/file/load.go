package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// AccessError is a key file that is refused before it is read, or cannot be.
type AccessError struct {
	Path     string
	What     string
	Accepted string
	Err      error // nil if the file could be opened
}

func (e *AccessError) Error() string {
	return fmt.Sprintf("key file %s %s; accepted: %s", e.Path, e.What, e.Accepted)
}

func (e *AccessError) Unwrap() error { return e.Err }

// Load reads the keychain in path. Symbolic links are followed, as mounted
// secrets are links; what they lead to must be a regular file, owned by root
// or by the running user, with mode 0600 or stricter. The error is an
// *AccessError or a *Refused; then the caller keeps what it has.
func Load(path string) (*keychain.Keychain, error) {
	data, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Read returns the content of a file of secrets, up to strict.MaxSize octets,
// if its owner and mode are as Load demands; the error is an *AccessError. Both
// are the opened file's own: nothing can be put in its place in between.
func Read(path string) ([]byte, error) {
	// O_NONBLOCK: a FIFO in place of the file must not hang the daemon.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &AccessError{Path: path, What: "cannot be opened: " + cause(err), Accepted: "a readable file, mode 0600", Err: err}
	}
	defer f.Close()
	if err := trusted(f, path); err != nil {
		return nil, err
	}
	data := make([]byte, 0, strict.MaxSize+1)
	for len(data) < cap(data) {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			clear(data)
			return nil, &AccessError{Path: path, What: "cannot be read: " + cause(err), Accepted: "a readable file, mode 0600", Err: err}
		}
	}
	clear(data)
	return nil, &AccessError{Path: path, What: fmt.Sprintf("has more than %d octets", strict.MaxSize), Accepted: fmt.Sprintf("up to %d octets", strict.MaxSize)}
}

// trusted checks kind, owner and mode of an open file.
func trusted(f *os.File, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &AccessError{Path: path, What: "cannot be examined: " + err.Error(), Accepted: "a regular file, mode 0600", Err: err}
	}
	uid := uint32(os.Geteuid())
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return &AccessError{Path: path, What: "is not a regular file", Accepted: "a regular file, mode 0600"}
	case st.Uid != 0 && st.Uid != uid:
		return &AccessError{Path: path, What: fmt.Sprintf("belongs to user %d", st.Uid), Accepted: fmt.Sprintf("owner root or user %d (chown %d %s)", uid, uid, path)}
	case st.Mode&0o177 != 0:
		return &AccessError{Path: path, What: fmt.Sprintf("has mode %#o", st.Mode&0o7777), Accepted: "mode 0600 or stricter (chmod 0600 " + path + ")"}
	}
	return nil
}

// cause is err without the operation and the path, which the message has.
func cause(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
