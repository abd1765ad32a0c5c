package wireguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"

	"github.com/linkseal/linkseal/linux/netns"
)

// sockets is wireguard-go's own bind, which is not known as such to a device of
// it: that would open a netlink socket to hear of routes, and a thousand devices
// would each be told of all routes of all others. What that is for, a source
// that is not there any more, is found when it fails, as the kernel does.
type sockets struct{ *conn.StdNetBind }

func newSockets() sockets { return sockets{conn.NewStdNetBind().(*conn.StdNetBind)} }

// Send sends from where the peer last heard us. If that cannot be any more it
// is from wherever the routes say.
func (s sockets) Send(packets [][]byte, to conn.Endpoint) error {
	err := s.StdNetBind.Send(packets, to)
	if len(packets) > 1 && tooLong(err) {
		err = nil
		for i := range packets {
			err = errors.Join(err, s.StdNetBind.Send(packets[i:i+1], to))
		}
	}
	if e, ok := to.(*conn.StdNetEndpoint); ok && err != nil && e.SrcIP().IsValid() && stale(err) {
		return s.StdNetBind.Send(packets, &conn.StdNetEndpoint{AddrPort: e.AddrPort})
	}
	return err
}

// tooLong tells that packets may be longer than the path takes, of which a router
// has told the kernel. It cuts a packet in fragments then, but not those of a
// batch (UDP_SEGMENT: EINVAL, later EMSGSIZE; udp_send_skb).
func tooLong(err error) bool { return errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.EINVAL) }

// stale tells that an error may come of a source that is gone: its address
// (EINVAL, EADDRNOTAVAIL), its interface (ENODEV, ENXIO), or what is routed there.
func stale(err error) bool {
	for _, e := range []syscall.Errno{unix.EINVAL, unix.EADDRNOTAVAIL, unix.ENODEV, unix.ENXIO, unix.ENETUNREACH, unix.EHOSTUNREACH} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// single is a socket for handshakes alone: one packet at a time, where
// wireguard-go's own has buffers of 8 MiB and more for each direction.
type single struct {
	ns    *netns.NS
	local netip.Addr

	mu     sync.Mutex
	socket *net.UDPConn
}

// endpoint is the other end of a datagram.
type endpoint struct{ netip.AddrPort }

func (e endpoint) ClearSrc()           {}
func (e endpoint) SrcToString() string { return "" }
func (e endpoint) DstToString() string { return e.String() }
func (e endpoint) DstIP() netip.Addr   { return e.Addr() }
func (e endpoint) SrcIP() netip.Addr   { return netip.Addr{} }

func (e endpoint) DstToBytes() []byte {
	b, _ := e.MarshalBinary() // never fails
	return b
}

func (s *single) Open(port uint16) (fns []conn.ReceiveFunc, actual uint16, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket != nil {
		return nil, 0, conn.ErrBindAlreadyOpen
	}
	err = s.ns.Do(func() error {
		c, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", netip.AddrPortFrom(s.local, port).String())
		if err == nil {
			s.socket = c.(*net.UDPConn)
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	socket := s.socket
	receive := func(packets [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
		n, a, err := socket.ReadFromUDPAddrPort(packets[0])
		if err != nil {
			return 0, err
		}
		sizes[0], from[0] = n, endpoint{unmapped(a)}
		return 1, nil
	}
	return []conn.ReceiveFunc{receive}, port, nil
}

func (s *single) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket == nil {
		return nil
	}
	err := s.socket.Close()
	s.socket = nil
	return err
}

func (s *single) Send(packets [][]byte, to conn.Endpoint) error {
	s.mu.Lock()
	socket := s.socket
	s.mu.Unlock()
	e, ok := to.(endpoint)
	if socket == nil || !ok {
		return net.ErrClosed
	}
	var errs error
	for _, p := range packets {
		_, err := socket.WriteToUDPAddrPort(p, e.AddrPort)
		errs = errors.Join(errs, err)
	}
	return errs
}

func (s *single) ParseEndpoint(text string) (conn.Endpoint, error) {
	a, err := netip.ParseAddrPort(text)
	return endpoint{a}, err
}

func (s *single) SetMark(uint32) error { return nil }
func (s *single) BatchSize() int       { return 1 }
