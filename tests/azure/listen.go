package azure

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// door is a listener that can be shut, or made deaf. It knows the connections that
// came through it, so that an outage is theirs too.
type door struct {
	net.Listener

	mu   sync.Mutex
	shut bool
	deaf chan struct{} // closed when it hears again; nil: it hears
	open map[*guest]struct{}
}

func newDoor(l net.Listener) *door {
	return &door{Listener: l, open: map[*guest]struct{}{}}
}

// Accept skips connections that come while the door is shut: a listener that
// cannot refuse has them closed at once.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := &guest{Conn: c, door: d, gone: make(chan struct{})}
		d.mu.Lock()
		shut := d.shut
		if !shut {
			d.open[g] = struct{}{}
		}
		d.mu.Unlock()
		if !shut {
			return g, nil
		}
		// Nobody waits for what closing a connection that is unwanted says.
		_ = c.Close()
	}
}

// Refuse shuts the door and ends the open connections, or opens it again.
func (d *door) Refuse(on bool) error {
	d.mu.Lock()
	d.shut = on
	var guests []*guest
	for g := range d.open {
		guests = append(guests, g)
	}
	d.mu.Unlock()
	var err error
	if r, ok := d.Listener.(interface{ Refuse(bool) error }); ok {
		err = r.Refuse(on)
	}
	if on {
		for _, g := range guests {
			err = errors.Join(err, ended(g.Close()))
		}
	}
	return err
}

// Silence keeps what arrives from being heard, on open and on new connections, or
// ends that.
func (d *door) Silence(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case on && d.deaf == nil:
		d.deaf = make(chan struct{})
	case !on && d.deaf != nil:
		close(d.deaf)
		d.deaf = nil
	}
}

// guest is a connection that tells the door when it ends.
type guest struct {
	net.Conn
	door *door
	once sync.Once
	gone chan struct{} // closed by Close
}

// Read returns what arrived when the door is not deaf.
func (g *guest) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	g.door.mu.Lock()
	deaf := g.door.deaf
	g.door.mu.Unlock()
	if deaf != nil && err == nil {
		select {
		case <-deaf:
		case <-g.gone:
		}
	}
	return n, err
}

func (g *guest) Close() error {
	g.once.Do(func() { close(g.gone) })
	g.door.mu.Lock()
	delete(g.door.open, g)
	g.door.mu.Unlock()
	return g.Conn.Close()
}

// ended is err, but nil if it only says that there was nothing left to close.
func ended(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// loopback listens on a port of 127.0.0.1 and keeps the port while it refuses.
type loopback struct {
	hold int // a socket bound to the port, never listening
	addr net.Addr

	mu     sync.Mutex
	l      net.Listener  // nil while refusing
	change chan struct{} // closed when l or closed changes
	closed bool
}

func listenLoopback() (*loopback, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("a socket to hold the cloud's port: %w", err)
	}
	port, err := bindAny(fd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("a port for the cloud: %w", err), unix.Close(fd))
	}
	l := &loopback{
		hold: fd, addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port},
		change: make(chan struct{}),
	}
	if err := l.Refuse(false); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return l, nil
}

// bindAny binds fd to a free port of 127.0.0.1 that others of ours may share.
func bindAny(fd int) (port int, err error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	return name.(*unix.SockaddrInet4).Port, nil
}

// Refuse stops to listen, so that the kernel refuses connections, or listens
// again, on the same port.
func (l *loopback) Refuse(on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	switch {
	case on && l.l != nil:
		err := l.l.Close()
		l.l = nil
		l.changed()
		return err
	case !on && l.l == nil:
		share := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
			var set error
			err := raw.Control(func(fd uintptr) {
				set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			})
			return errors.Join(err, set)
		}}
		fresh, err := share.Listen(context.Background(), "tcp4", l.addr.String())
		if err != nil {
			return fmt.Errorf("the cloud's port %s: %w", l.addr, err)
		}
		l.l = fresh
		l.changed()
	}
	return nil
}

func (l *loopback) changed() {
	close(l.change)
	l.change = make(chan struct{})
}

func (l *loopback) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		now, change, closed := l.l, l.change, l.closed
		l.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if now == nil {
			<-change
			continue
		}
		c, err := now.Accept()
		if err == nil {
			return c, nil
		}
		l.mu.Lock()
		same := l.l == now
		l.mu.Unlock()
		if same {
			return nil, err
		}
	}
}

func (l *loopback) Addr() net.Addr { return l.addr }

func (l *loopback) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var err error
	if l.l != nil {
		err = l.l.Close()
		l.l = nil
	}
	l.changed()
	return errors.Join(err, unix.Close(l.hold))
}
