package echo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Answerer answers requests of a Socket's form out of the interface by which
// they come in. The kernel answers too, but by the way that is routed: where an
// address is reached over several interfaces, that is one of them, and the
// answers to what is asked over the others do not come back by these.
type Answerer struct {
	conn net.PacketConn
	done sync.WaitGroup
}

// pause is how long after an error it is read again.
const pause = 10 * time.Millisecond

// Answer answers what comes in by device from the address from to local, an
// address of this host, until Close. It needs CAP_NET_RAW, and belongs to the
// calling thread's network namespace. An IPv6 from has to be routed over the
// device as for Open.
func Answer(device string, local, from netip.Addr) (*Answerer, error) {
	local, from = local.Unmap(), from.Unmap()
	network := "ip4:icmp"
	if local.Is6() {
		network = "ip6:ipv6-icmp"
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = hear(int(fd), device, local.Is6()) }); e != nil {
			return e
		}
		return err
	}}
	conn, err := lc.ListenPacket(context.Background(), network, local.String())
	if err != nil {
		return nil, fmt.Errorf("echo on %s: answer to %s: %w", device, local, err)
	}
	a := &Answerer{conn: conn}
	a.done.Go(func() { a.run(from) })
	return a, nil
}

// hear binds the socket to the interface and has it take echo requests alone.
func hear(fd int, device string, six bool) error {
	if err := unix.BindToDevice(fd, device); err != nil {
		return os.NewSyscallError("SO_BINDTODEVICE", err)
	}
	if !six {
		const icmpFilter, request = 1, 8 // linux/icmp.h; a bit is a type that is not taken
		return os.NewSyscallError("ICMP_FILTER", unix.SetsockoptInt(fd, unix.SOL_RAW, icmpFilter, ^(1<<request)))
	}
	var f unix.ICMPv6Filter
	for i := range f.Data {
		f.Data[i] = ^uint32(0)
	}
	request := ipv6.ICMPTypeEchoRequest
	f.Data[request>>5] &^= 1 << (request & 31)
	return os.NewSyscallError("ICMP6_FILTER", unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, 1, &f))
}

func (a *Answerer) run(peer netip.Addr) {
	buf := make([]byte, 512)
	for {
		n, from, err := a.conn.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(pause) // of the interface, which may be down for now
			continue
		}
		at, ok := from.(*net.IPAddr)
		if !ok {
			continue
		}
		if ip, _ := netip.AddrFromSlice(at.IP); ip.Unmap() != peer {
			continue
		}
		if b := reply(buf[:n], peer.Is6()); b != nil {
			_, _ = a.conn.WriteTo(b, at) // it is asked again
		}
	}
}

// reply is the answer to a request of a Socket's form; nil to what is none.
func reply(request []byte, six bool) []byte {
	proto, typ := 1, icmp.Type(ipv4.ICMPTypeEchoReply)
	if six {
		proto, typ = 58, ipv6.ICMPTypeEchoReply
	}
	m, err := icmp.ParseMessage(proto, request)
	if err != nil {
		return nil
	}
	e, ok := m.Body.(*icmp.Echo)
	if asked := m.Type == ipv4.ICMPTypeEcho || m.Type == ipv6.ICMPTypeEchoRequest; !ok || !asked || len(e.Data) != payload {
		return nil
	}
	b, err := (&icmp.Message{Type: typ, Body: e}).Marshal(nil)
	if err != nil {
		return nil
	}
	return b
}

// Close ends it.
func (a *Answerer) Close() error {
	err := a.conn.Close()
	a.done.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
