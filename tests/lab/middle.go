package lab

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Forward is the man in the middle of a lab with Options.Middle: it calls tamper
// with each frame that an appliance sends, by the appliance's number, and sends
// to the other what that returns. The calls for one appliance's frames are in
// order and from one goroutine. Close ends it.
func (l *Lab) Forward(tamper func(from int, frame []byte) [][]byte) (*Forwarder, error) {
	f := &Forwarder{}
	for i := range l.Appliances {
		s, err := l.leg(i)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		f.legs = append(f.legs, s)
	}
	for i := range l.Appliances {
		to := f.legs[1-i]
		t, err := listenIn(l.bridge, legName(i), nil, func(frame Frame) {
			if frame.Outgoing {
				return
			}
			for _, out := range tamper(i, frame.Octets) {
				_ = to.Send(out) // a leg without carrier loses frames, as wires do
			}
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("in the middle: %w", err), f.Close())
		}
		f.taps = append(f.taps, t)
	}
	return f, nil
}

// Forwarder is what Forward runs.
type Forwarder struct {
	legs []*Sender
	taps []*Tap
}

// Close stops it; tamper is not called any more.
func (f *Forwarder) Close() error {
	var err error
	for _, t := range f.taps {
		err = errors.Join(err, t.Close())
	}
	for _, s := range f.legs {
		err = errors.Join(err, s.Close())
	}
	f.taps, f.legs = nil, nil
	return err
}

func legName(i int) string { return fmt.Sprintf("p%d", i) }

// leg is a socket on the middle's end of appliance i's cable.
func (l *Lab) leg(i int) (*Sender, error) {
	s := &Sender{fd: -1, where: legName(i)}
	err := l.bridge.Do(func() error {
		ifi, err := net.InterfaceByName(s.where)
		if err != nil {
			return err
		}
		s.index = ifi.Index
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("in the middle: %s: %w", s.where, err)
	}
	return s, nil
}
