package lab

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// SendClear sends frames in clear at an appliance's port, from an AF_PACKET
// socket as a careless program would. The EtherType is 88-B5, for experiments.
func SendClear(a *Appliance, frames int) error {
	s, err := OpenSender(a, Device, false)
	if err != nil {
		return err
	}
	defer s.Close()
	frame := EtherFrame(net.HardwareAddr{0x02, 0, 0, 0, 0, 0xff}, a.MAC, 0x88b5, make([]byte, 46))
	for range frames {
		if err := s.Send(frame); err != nil {
			return err
		}
	}
	return nil
}

// EtherFrame puts an Ethernet header before a payload.
func EtherFrame(dst, src net.HardwareAddr, etherType uint16, payload []byte) []byte {
	f := append(append(make([]byte, 0, 14+len(payload)), dst...), src...)
	return append(append(f, byte(etherType>>8), byte(etherType)), payload...)
}

// Sender is an AF_PACKET socket on a device.
type Sender struct {
	fd, index int
	where     string
}

// OpenSender opens one. With bypass it passes the device's qdisc and all of tc
// by (PACKET_QDISC_BYPASS).
func OpenSender(a *Appliance, device string, bypass bool) (*Sender, error) {
	s := &Sender{fd: -1, where: device + " at " + a.Name}
	err := a.NS.Do(func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		s.index = ifi.Index
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if bypass {
			return unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
		}
		return nil
	})
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("sending frames from %s: %w", s.where, err)
	}
	return s, nil
}

// Send sends one frame, from DA on. That the queue drops it (ENOBUFS), as the
// filter does, is no error.
func (s *Sender) Send(frame []byte) error {
	err := unix.Sendto(s.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: s.index, Halen: 6})
	if err != nil && err != unix.ENOBUFS {
		return fmt.Errorf("sending frames from %s: %w", s.where, err)
	}
	return nil
}

// Close closes the socket.
func (s *Sender) Close() error {
	if s.fd < 0 {
		return nil
	}
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}
