package azure

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
)

// Pipe is a listener in memory, for synctest bubbles: make it inside.
type Pipe struct {
	addr    net.Addr
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
	mu      sync.Mutex
	refused bool
}

// NewPipe makes a listener that says it has the address, 127.0.0.1:443 for one.
func NewPipe(address netip.AddrPort) *Pipe {
	return &Pipe{
		addr: net.TCPAddrFromAddrPort(address), conns: make(chan net.Conn), closed: make(chan struct{}),
	}
}

// DialContext connects to the listener, whatever the address. It fails as TCP
// does when the listener is closed or refuses.
func (p *Pipe) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: p.addr, Err: err}
	}
	p.mu.Lock()
	refused := p.refused
	p.mu.Unlock()
	if refused {
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	case <-ctx.Done():
		return fail(ctx.Err())
	}
}

// Accept waits for the next connection.
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Refuse says whether new connections are refused.
func (p *Pipe) Refuse(on bool) error {
	p.mu.Lock()
	p.refused = on
	p.mu.Unlock()
	return nil
}

// Addr is the address that NewPipe was told.
func (p *Pipe) Addr() net.Addr { return p.addr }

// Close ends Accept and refuses what comes.
func (p *Pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}
