package macsec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ErrNoDevice says that there is no such MACsec device in the namespace.
var ErrNoDevice = errors.New("no such MACsec device")

// Error is a refused operation. errors.Is sees through it to the errno.
type Error struct {
	Device string // its name, or "ifindex N" when it has none any more
	Op     string // "add tx sa an 1"
	Err    error
	Remedy string // empty if there is nothing to say
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("macsec")
	for _, s := range []string{e.Device, e.Op} {
		if s != "" {
			b.WriteString(" " + s)
			b.WriteString(":")
		}
	}
	fmt.Fprintf(&b, " %s", cause(e.Err))
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// cause is err without netlink's wrapping, but with the kernel's own words.
func cause(err error) string {
	var op *netlink.OpError
	if !errors.As(err, &op) {
		return err.Error()
	}
	if op.Message != "" {
		return fmt.Sprintf("%v (%s)", op.Err, op.Message)
	}
	return op.Err.Error()
}

const (
	remedyModule = "the kernel has no MACsec: load the module (modprobe macsec), or use a kernel with CONFIG_MACSEC"
	remedyGCM    = "the kernel has no gcm(aes): load the module (modprobe gcm), or use a kernel with CONFIG_CRYPTO_GCM"
	remedyDevice = "the device, SC or SA is not there"
)

// remedies says what to do about an errno that more than one operation gives.
var remedies = map[unix.Errno]string{
	unix.EPERM:  "it needs CAP_NET_ADMIN in the user namespace that owns the network namespace",
	unix.ENODEV: remedyDevice,
}

func newError(device, op string, err error, own map[unix.Errno]string) error {
	e := &Error{Device: device, Op: op, Err: err}
	var no unix.Errno
	if errors.As(err, &no) {
		var ok bool
		if e.Remedy, ok = own[no]; !ok {
			e.Remedy = remedies[no]
		}
	}
	return e
}
