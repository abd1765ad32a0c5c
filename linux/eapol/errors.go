package eapol

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

var (
	// ErrDown says that the device is administratively down. The Conn stays
	// good: it receives and sends again when the device is up. A lost carrier
	// is not this error.
	ErrDown = errors.New("the device is down; set it up")
	// ErrGone says that the device has been removed or moved to another
	// network namespace. The Conn is dead: Close it, and Listen on the new
	// device when there is one.
	ErrGone = errors.New("the device is gone; create it again")
)

// Error is a failed operation of a Conn or of Listen. It unwraps to ErrDown or
// ErrGone where it is one of them, and to the kernel's error.
type Error struct {
	Op      string // what failed: "read", "write", "bind", ...
	Ifindex int
	Kind    error // ErrDown, ErrGone or nil
	Err     error // usually a unix.Errno
}

func (e *Error) Error() string {
	if e.Kind != nil {
		return fmt.Sprintf("eapol: %s on device %d: %v (%v)", e.Op, e.Ifindex, e.Kind, e.Err)
	}
	return fmt.Sprintf("eapol: %s on device %d: %v", e.Op, e.Ifindex, e.Err)
}

// Unwrap gives Kind and Err to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Kind != nil {
		return []error{e.Kind, e.Err}
	}
	return []error{e.Err}
}

// fail makes an Error of err. os.ErrDeadlineExceeded and os.ErrClosed are
// passed as they are: they are the caller's own doing.
func (c *Conn) fail(op string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) {
		return err
	}
	e := &Error{Op: op, Ifindex: c.ifindex, Err: err}
	switch {
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		e.Kind = ErrGone
	case errors.Is(err, unix.ENETDOWN):
		// The kernel reports both with ENETDOWN; a removed device has taken
		// its index from the socket's address.
		e.Kind = ErrDown
		if c.unbound() {
			e.Kind = ErrGone
		}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		e.Err = fmt.Errorf("%w: CAP_NET_RAW is needed", err)
	}
	return e
}
