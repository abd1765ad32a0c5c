package lab

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// SendClear sends frames in clear at an appliance's port, from an AF_PACKET
// socket as a careless program would. The EtherType is 88-B5, for experiments.
func SendClear(a *Appliance, frames int) error {
	frame := append([]byte{0x02, 0, 0, 0, 0, 0xff}, a.MAC...)
	frame = append(frame, 0x88, 0xb5)
	frame = append(frame, make([]byte, 46)...)
	err := a.NS.Do(func() error {
		ifi, err := net.InterfaceByName(Device)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for range frames {
			// A queue that drops answers ENOBUFS: that is what is wanted.
			if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifi.Index, Halen: 6}); err != nil && err != unix.ENOBUFS {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sending in clear at %s: %w", a.Name, err)
	}
	return nil
}
