// Package echo sends ICMP and ICMPv6 echo requests out of one interface,
// whatever is routed, and takes the replies that come in by it.
package echo

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// payload is what a request carries, in octets: a token and zeroes.
const (
	payload = 32
	token   = 16
)

// Socket is for one target. One goroutine may send and another receive.
type Socket struct {
	conn   net.PacketConn
	to     *net.IPAddr
	target netip.Addr
	id     int
	token  [token]byte
	buf    [512]byte
}

// Open opens a socket on the interface called device in the calling thread's
// network namespace. It needs CAP_NET_RAW. A target of IPv6 has to be routed
// over the interface, by a route of any preference; for one of IPv4 the kernel
// needs none.
func Open(device string, target netip.Addr) (*Socket, error) {
	s := &Socket{target: target.Unmap()}
	s.to = &net.IPAddr{IP: s.target.AsSlice()}
	var id [2]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	if _, err := rand.Read(s.token[:]); err != nil {
		return nil, err
	}
	s.id = int(binary.BigEndian.Uint16(id[:]))
	network := "ip4:icmp"
	if s.target.Is6() {
		network = "ip6:ipv6-icmp"
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = s.prepare(int(fd), device) }); e != nil {
			return e
		}
		return err
	}}
	conn, err := lc.ListenPacket(context.Background(), network, "")
	if err != nil {
		return nil, fmt.Errorf("echo on %s: %w", device, err)
	}
	s.conn = conn
	return s, nil
}

// prepare binds the socket to the interface and has it take echo replies alone.
func (s *Socket) prepare(fd int, device string) error {
	if err := unix.BindToDevice(fd, device); err != nil {
		return os.NewSyscallError("SO_BINDTODEVICE", err)
	}
	if s.target.Is4() {
		const icmpFilter = 1 // linux/icmp.h; a bit is a type that is not taken
		return os.NewSyscallError("ICMP_FILTER", unix.SetsockoptInt(fd, unix.SOL_RAW, icmpFilter, ^(1<<0)))
	}
	var f unix.ICMPv6Filter
	for i := range f.Data {
		f.Data[i] = ^uint32(0)
	}
	reply := ipv6.ICMPTypeEchoReply
	f.Data[reply>>5] &^= 1 << (reply & 31)
	return os.NewSyscallError("ICMP6_FILTER", unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, 1, &f))
}

// Send sends request number seq.
func (s *Socket) Send(seq uint16) error {
	body := &icmp.Echo{ID: s.id, Seq: int(seq), Data: append(s.token[:], make([]byte, payload-token)...)}
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: body}
	if s.target.Is6() {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	b, err := m.Marshal(nil) // of ICMPv6 the kernel makes the checksum
	if err == nil {
		_, err = s.conn.WriteTo(b, s.to)
	}
	return err
}

// Receive waits for a reply until the deadline: os.ErrDeadlineExceeded, wrapped.
// Others' replies are passed over.
func (s *Socket) Receive(deadline time.Time) (seq uint16, err error) {
	if err := s.conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	proto := 1
	if s.target.Is6() {
		proto = 58
	}
	for {
		n, from, err := s.conn.ReadFrom(s.buf[:])
		if err != nil {
			return 0, err
		}
		a, ok := from.(*net.IPAddr)
		if !ok || !a.IP.Equal(s.to.IP) {
			continue
		}
		m, err := icmp.ParseMessage(proto, s.buf[:n])
		if err != nil {
			continue
		}
		e, ok := m.Body.(*icmp.Echo)
		if ok && e.ID == s.id && len(e.Data) == payload && [token]byte(e.Data) == s.token {
			return uint16(e.Seq), nil
		}
	}
}

// Close ends Receive.
func (s *Socket) Close() error {
	err := s.conn.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
