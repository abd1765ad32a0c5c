package early

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/packet/unbound"
)

// Catch keeps early packets. It is safe for concurrent use; a nil one has none.
type Catch struct {
	remote, local netip.Addr
	in            *os.File // packet socket
	out           int      // raw socket
	done          chan struct{}

	mu   sync.Mutex
	buf  []byte              // of one packet
	kept map[uint32][][]byte // by SPI, in order
	size int
	over bool
}

// most is what is kept, in octets: 100 ms at 1 Gbit/s.
const most = 12 << 20

// Open listens on device, in ns, for packets of ESP from remote to
// local whose SPI is none of those known.
func Open(ns *netns.NS, device string, remote, local netip.Addr, known []uint32) (*Catch, error) {
	c := &Catch{remote: remote, local: local, out: -1, done: make(chan struct{}), kept: map[uint32][][]byte{}}
	if err := ns.Do(func() error { return c.open(device, known) }); err != nil {
		if c.in != nil {
			c.in.Close()
		}
		if c.out >= 0 {
			unix.Close(c.out)
		}
		return nil, fmt.Errorf("early packets on %s: %w", device, err)
	}
	go c.listen()
	return c, nil
}

func (c *Catch) open(device string, known []uint32) error {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	program, err := filter(c.remote, c.local, known)
	if err != nil {
		return err
	}
	family, ethertype := unix.AF_INET, uint16(unix.ETH_P_IP)
	if !c.remote.Is4() {
		family, ethertype = unix.AF_INET6, unix.ETH_P_IPV6
	}
	// Of no protocol until the filter is there, so that nothing comes before it.
	fd, err := unbound.Open(unix.SOCK_DGRAM | unix.SOCK_NONBLOCK)
	if err != nil {
		return err
	}
	c.in = os.NewFile(uintptr(fd), "early packets")
	raw := make([]unix.SockFilter, len(program))
	for i, p := range program {
		raw[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(raw)), Filter: (*unix.SockFilter)(unsafe.Pointer(&raw[0]))}); err != nil {
		return err
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, most) // without CAP_NET_ADMIN the default does
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ethertype<<8 | ethertype>>8, Ifindex: dev.Index}); err != nil {
		return err
	}
	c.out, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	return err
}

// listen keeps what comes until the socket is closed.
func (c *Catch) listen() {
	defer close(c.done)
	raw, err := c.in.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool { // it ends as the socket is closed
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drain(int(fd))
		return false
	})
}

// drain keeps what the socket has. The caller has the lock, so that nothing is
// between the socket and what is kept.
func (c *Catch) drain(fd int) {
	if c.buf == nil {
		c.buf = make([]byte, 1<<16)
	}
	for {
		n, _, err := unix.Recvfrom(fd, c.buf, 0)
		switch {
		case err == unix.EINTR || err == unix.ENETDOWN: // the device went down: told once
			continue
		case err != nil:
			return
		}
		spi, _, _ := parse(c.buf[:n])
		switch {
		case spi == 0:
		case c.size+n > most:
			c.over = true
		default:
			c.kept[spi] = append(c.kept[spi], append([]byte(nil), c.buf[:n]...))
			c.size += n
		}
	}
}

// Release hands over what came early under the SPIs given, which the machine
// knows now, and returns how many packets that were. received tells which of an
// SPI came after that all the same, by sequence number; nil: none did.
func (c *Catch) Release(spis []uint32, received func(spi, sequence uint32) bool) (n int, err error) {
	if c == nil {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// What came before the SAs did is in the socket at the latest: on a machine that
	// is busy nobody may have read it yet.
	if raw, e := c.in.SyscallConn(); e == nil {
		_ = raw.Control(func(fd uintptr) { c.drain(int(fd)) }) // closed, it has none
	}
	for _, spi := range spis {
		for _, b := range c.kept[spi] {
			c.size -= len(b)
			if received != nil && received(spi, sequence(b)) {
				continue
			}
			if e := c.send(b); e != nil {
				err = e
			}
			n++
		}
		delete(c.kept, spi)
	}
	if c.over && err == nil {
		err = fmt.Errorf("early packets: more than %d octets, the rest is lost", most)
	}
	return n, err
}

func (c *Catch) send(b []byte) error {
	if _, payload, udp := parse(b); udp {
		checksum(b, payload)
	}
	var to unix.Sockaddr = &unix.SockaddrInet6{Addr: c.local.As16()}
	if c.local.Is4() {
		to = &unix.SockaddrInet4{Addr: c.local.As4()}
	}
	if err := unix.Sendto(c.out, b, 0, to); err != nil {
		return fmt.Errorf("early packets: %w", err)
	}
	return nil
}

// Close forgets what is kept.
func (c *Catch) Close() error {
	if c == nil {
		return nil
	}
	err := c.in.Close()
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out >= 0 {
		err = errors.Join(err, unix.Close(c.out))
		c.out = -1
	}
	return err
}
