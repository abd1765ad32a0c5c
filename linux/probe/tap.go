package probe

import (
	"os"

	"golang.org/x/sys/unix"
)

const tunDevice = "/dev/net/tun"

func tryTUN() (string, error) {
	return "made a tap device", inScratch(func() error {
		fd, err := attachTap(unix.IFF_TAP | unix.IFF_NO_PI)
		if err == nil {
			unix.Close(fd)
		}
		return err
	})
}

// tryTap makes what a SecY in user space has: two queues of one device, frames
// in them behind virtio-net headers, and carrier when it says so.
func tryTap() (string, error) {
	return "made a tap device with two queues", inScratch(func() error {
		for range 2 {
			fd, err := attachTap(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_MULTI_QUEUE)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.IoctlSetPointerInt(fd, unix.TUNSETCARRIER, 0); err != nil {
				return os.NewSyscallError("TUNSETCARRIER", err)
			}
		}
		return nil
	})
}

func attachTap(flags uint16) (int, error) {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: tunDevice, Err: err}
	}
	req, err := unix.NewIfreq("probe2")
	if err == nil {
		req.SetUint16(flags)
		err = os.NewSyscallError("TUNSETIFF", unix.IoctlIfreq(fd, unix.TUNSETIFF, req))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
