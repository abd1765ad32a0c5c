package tap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// device is the door to all taps.
const device = "/dev/net/tun"

// flags are those of every tap here. A queue is attached with the same ones,
// or refused (EINVAL).
const flags = unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_MULTI_QUEUE

// tunFlags are those of every tun here, which wireguard-go attaches to with.
const tunFlags = unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR

// Create makes the persistent tap called name in the calling thread's network
// namespace: down, without carrier, of MTU 1500, with a random MAC address.
// An interface of that name is an error (EBUSY, or EINVAL if it is no tap).
// Only the process's user, and who has CAP_NET_ADMIN, may attach a queue.
func Create(name string) error { return created("tap", name, create(name, flags)) }

// CreateTun makes the persistent tun called name, which carries IP packets, as
// Create makes a tap; without an address of its own, and with one queue.
func CreateTun(name string) error { return created("tun", name, create(name, tunFlags)) }

func created(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: create: %w%s", what, name, err, remedy(err))
}

func create(name string, flags uint16) (err error) {
	fd, err := open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.NewSyscallError("close", unix.Close(fd))) }()
	req, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("a name has 1 to %d octets: %w", unix.IFNAMSIZ-1, err)
	}
	req.SetUint16(flags | unix.IFF_TUN_EXCL)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return os.NewSyscallError("TUNSETIFF", err)
	}
	// Without an owner whoever may open /dev/net/tun, often everybody, could
	// attach a queue and read in clear what is to be protected.
	if err := unix.IoctlSetInt(fd, unix.TUNSETOWNER, os.Geteuid()); err != nil {
		return os.NewSyscallError("TUNSETOWNER", err)
	}
	return os.NewSyscallError("TUNSETPERSIST", unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1))
}

// Available says what keeps taps of this kind from being made here, as far as
// that can be told without making one; nil if nothing does.
func Available() error {
	fd, err := open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	have, err := unix.IoctlGetUint32(fd, unix.TUNGETFEATURES)
	if err != nil {
		return os.NewSyscallError("TUNGETFEATURES", err)
	}
	if have&flags != flags {
		return fmt.Errorf("%s has features 0x%04x, not all of 0x%04x: %w", device, have, flags, errors.ErrUnsupported)
	}
	return nil
}

func open() (int, error) {
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: device, Err: err}
	}
	return fd, nil
}

// remedy is what to do about err, to follow its text; "" if nothing is known.
func remedy(err error) string {
	switch {
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EINVAL):
		return "; an interface of that name may exist: ip link shows it"
	case errors.Is(err, fs.ErrPermission):
		return "; it needs CAP_NET_ADMIN in the user namespace that owns the network namespace, and access to " + device
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return "; use a kernel with CONFIG_TUN, and have " + device
	}
	return ""
}
