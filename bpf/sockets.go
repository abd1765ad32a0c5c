package bpf

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ErrNoSockets says that the filter hands nothing to sockets, since the kernel
// that it was loaded into has no AF_XDP.
var ErrNoSockets = errors.New("this kernel has no AF_XDP; use one with CONFIG_XDP_SOCKETS, or packet sockets")

// ErrByTC says that the filter hands nothing to sockets, since its ingress is by
// tc.
var ErrByTC = errors.New("the filter's ingress is by tc, since XDP cannot be had there; use packet sockets")

// MaxSocketFrame is the longest frame that is handed to a socket, in octets
// without FCS: what a socket with chunks of 4 KiB and no headroom of its own
// takes. What is longer than its chunks a socket drops, and counts.
const MaxSocketFrame = 4096 - unix.XDP_PACKET_HEADROOM

// Sockets is where the filter of a device hands MACsec frames to AF_XDP
// sockets. To the stack pass those of a queue that has no socket, those longer
// than MaxSocketFrame, and those that the driver hands over in several pieces:
// on veth from some 3.4 KiB on. Sockets holds through a change of the filter's
// settings, and while either direction stays attached; after both were taken
// away another is opened.
//
// Sent may be called at any time from any goroutine, the other methods by one
// at a time.
type Sockets struct {
	xsks *ebpf.Map
	id   ebpf.MapID
	sent *sentMemory
	put  map[uint32]bool
}

// Same tells whether both are of one filter: what was Put into the one is in
// the other.
func (s *Sockets) Same(o *Sockets) bool { return s.id == o.id }

// OpenSockets finds the filter that is attached to the device with that index
// in the calling thread's network namespace. Errors are ErrNotAttached,
// ErrNoSockets, ErrByTC, and that the filter is another version's.
func OpenSockets(ifindex int) (*Sockets, error) {
	h, _, err := look(ifindex)
	if err != nil {
		return nil, fmt.Errorf("bpf: open the sockets of %w", err)
	}
	defer h.Close()
	if _, mode := h.in(); mode.ByTC() {
		return nil, fmt.Errorf("bpf: open the sockets of device %s: %w", h.link.Attrs().Name, ErrByTC)
	}
	s, err := openSockets(h.pair())
	if err != nil {
		return nil, fmt.Errorf("bpf: open the sockets of device %s: %w", h.link.Attrs().Name, err)
	}
	return s, nil
}

func openSockets(p pair) (*Sockets, error) {
	switch {
	case p.in == nil || p.out == nil:
		return nil, ErrNotAttached
	case p.in.settings.Magic != magic || p.out.settings.Magic != magic || p.held(portMapSent) == nil:
		return nil, errOtherVersion
	case p.held(portMapXsks) == nil:
		return nil, ErrNoSockets
	}
	xsks, err := p.held(portMapXsks).Clone()
	if err != nil {
		return nil, err
	}
	info, err := xsks.Info()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map of sockets: %w", err), xsks.Close())
	}
	id, _ := info.ID()
	held := mapsByName{portMapSent: p.held(portMapSent), portMapSentSas: p.held(portMapSentSas), portMapSaFirsts: p.held(portMapSaFirsts)}
	sent, err := mapSent(held)
	if err != nil {
		return nil, errors.Join(err, xsks.Close())
	}
	return &Sockets{xsks: xsks, id: id, sent: sent, put: map[uint32]bool{}}, nil
}

// Put has the MACsec frames of an RX queue go to the AF_XDP socket fd, in place
// of another. The socket is bound to that queue of this device, or the kernel
// drops what is for it. The kernel takes it out when it is closed, which it is
// not before its rings are unmapped too.
func (s *Sockets) Put(queue, fd int) error {
	if queue < 0 || queue >= queues {
		return fmt.Errorf("bpf: socket for RX queue %d: there is room for queues 0 to %d; give the device fewer (ethtool -L)", queue, queues-1)
	}
	if err := s.xsks.Put(uint32(queue), uint32(fd)); err != nil {
		return fmt.Errorf("bpf: socket for RX queue %d: %w", queue, remedy(err))
	}
	s.put[uint32(queue)] = true
	return nil
}

// Sent adds MACsec frames to the filter's egress counters and to those of their
// SA, as sent now: the programs do not see what AF_XDP transmits. It makes no
// system call and allocates nothing.
func (s *Sockets) Sent(b Batch) { s.sent.add(b, time.Now()) }

// Close takes out the sockets that were put in: frames pass to the stack again.
// It does not close them.
func (s *Sockets) Close() error {
	var errs []error
	for queue := range s.put {
		if err := s.xsks.Delete(queue); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			errs = append(errs, fmt.Errorf("bpf: take the socket of RX queue %d out: %w", queue, err))
		}
	}
	clear(s.put)
	return errors.Join(append(errs, s.xsks.Close())...)
}
