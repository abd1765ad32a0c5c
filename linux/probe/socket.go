package probe

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func tryPacket() (string, error) {
	// Protocol 0: the socket never receives.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("AF_PACKET: %w", os.NewSyscallError("socket", err))
	}
	unix.Close(fd)
	return "opened a socket", nil
}

func tryAFXDP() (string, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("AF_XDP: %w", os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_RX_RING, 64); err != nil {
		return "", fmt.Errorf("AF_XDP receive ring: %w", os.NewSyscallError("setsockopt", err))
	}
	return "opened a socket with a ring", nil
}

func tryXFRM() (string, error) {
	return "installed an ESP state", inScratch(func() error {
		if err := netlink.XfrmStateAdd(&netlink.XfrmState{
			Src: net.IPv4(192, 0, 2, 1), Dst: net.IPv4(192, 0, 2, 2),
			Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TUNNEL, Spi: 0x1000,
			Aead: &netlink.XfrmStateAlgo{Name: "rfc4106(gcm(aes))", Key: make([]byte, 36), ICVLen: 128},
		}); err != nil {
			return fmt.Errorf("add an ESP state with rfc4106(gcm(aes)): %w", err)
		}
		return nil
	})
}
