package macsec

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Conn talks to the kernel about the MACsec devices of one network namespace:
// the one of the thread that called Dial, whatever thread uses it later. It is
// safe for concurrent use, one request at a time.
type Conn struct {
	mu     sync.Mutex
	genl   *genetlink.Conn
	rtnl   *netlink.Conn
	family uint16
	// raw sends messages that have keys in them from a buffer of our own. It
	// is nil if genl is not on a socket.
	raw syscall.RawConn
	pid uint32
	seq uint32
}

// Dial opens a Conn in the calling thread's network namespace. A kernel
// without MACsec is an *Error that is os.ErrNotExist.
func Dial() (*Conn, error) {
	nc, err := netlink.Dial(unix.NETLINK_GENERIC, nil)
	if err != nil {
		return nil, fmt.Errorf("macsec: generic netlink: %w", err)
	}
	rtnl, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("macsec: rtnetlink: %w", err)
	}
	for _, c := range []*netlink.Conn{nc, rtnl} {
		// Old kernels lack it, and say less for it.
		_ = c.SetOption(netlink.ExtendedAcknowledge, true)
		// A refusal is not to bring back the request, with the key in it.
		_ = c.SetOption(netlink.CapAcknowledge, true)
	}
	c, err := newConn(nc, rtnl)
	if err != nil {
		nc.Close()
		rtnl.Close()
		return nil, err
	}
	return c, nil
}

func newConn(nc, rtnl *netlink.Conn) (*Conn, error) {
	c := &Conn{genl: genetlink.NewConn(nc), rtnl: rtnl, pid: nc.PID()}
	if raw, err := nc.SyscallConn(); err == nil {
		c.raw = raw
	}
	family, err := c.genl.GetFamily(familyName)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, &Error{Op: "find the generic netlink family", Err: err, Remedy: remedyModule}
		}
		return nil, newError("", "find the generic netlink family", err, nil)
	}
	c.family = family.ID
	return c, nil
}

// Close releases the sockets. Devices and SAs stay.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.genl.Close(), c.rtnl.Close())
}

// do has one generic netlink request acknowledged.
func (c *Conn) do(cmd uint8, attrs []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.execute(cmd, attrs)
}

func (c *Conn) execute(cmd uint8, attrs []byte) error {
	_, err := c.genl.Execute(genetlink.Message{
		Header: genetlink.Header{Command: cmd, Version: familyVersion},
		Data:   attrs,
	}, c.family, netlink.Request|netlink.Acknowledge)
	return err
}

// doSecret is do for a request with a key in it: it zeroes attrs and every
// copy that it makes.
func (c *Conn) doSecret(cmd uint8, attrs []byte) error {
	defer clear(attrs)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.raw == nil {
		return c.execute(cmd, attrs)
	}
	c.seq++
	msg := appendMessage(make([]byte, 0, nlmsgHeader+genlHeader+len(attrs)), c.family, cmd, c.seq, c.pid, attrs)
	defer clear(msg)
	var err error
	if e := c.raw.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		return err != unix.EAGAIN
	}); e != nil {
		return e
	}
	if err != nil {
		return os.NewSyscallError("sendto", err)
	}
	for {
		// What answers another sequence number was left over by a request
		// that failed half-way.
		_, replies, err := c.genl.Receive()
		var op *netlink.OpError
		if errors.As(err, &op) && op.Sequence != 0 && op.Sequence != c.seq {
			continue
		}
		if err != nil {
			return err
		}
		for _, r := range replies {
			if r.Header.Sequence == c.seq {
				return nil
			}
		}
	}
}

// deviceName is for errors: the name of a link, or its number.
func (c *Conn) deviceName(ifindex int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	msgs, err := c.rtnl.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request},
		Data:   ifInfo(ifindex),
	})
	if err == nil && len(msgs) == 1 {
		if name, err := decodeLinkName(msgs[0].Data); err == nil {
			return name
		}
	}
	return fmt.Sprintf("ifindex %d", ifindex)
}

// fail names the device and the operation of a refused request.
func (c *Conn) fail(ifindex int, op string, err error, own map[unix.Errno]string) error {
	if err == nil {
		return nil
	}
	return newError(c.deviceName(ifindex), op, err, own)
}
