package link

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// value is struct ethtool_value.
type value struct{ command, data uint32 }

// GRO tells whether an interface of the calling thread's network namespace joins
// the frames that it receives (generic receive offload).
func GRO(name string) (bool, error) {
	v := value{command: unix.ETHTOOL_GGRO}
	if err := ethtool(name, unsafe.Pointer(&v)); err != nil {
		return false, fail(name, "ask for generic receive offload", err)
	}
	return v.data != 0, nil
}

// SetGRO is `ethtool -K NAME gro on|off`.
func SetGRO(name string, on bool) error {
	v := value{command: unix.ETHTOOL_SGRO}
	if on {
		v.data = 1
	}
	if err := ethtool(name, unsafe.Pointer(&v)); err != nil {
		return fail(name, "set generic receive offload", err)
	}
	return nil
}

// ethtool does what data, one of ethtool's structures, says.
func ethtool(name string, data unsafe.Pointer) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r := ifreq{data: data}
	copy(r.name[:unix.IFNAMSIZ-1], name)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r))); e != 0 {
		return e
	}
	return nil
}
