package qemu

import (
	"context"
	"net"
	"os"
	"path/filepath"
)

// End is one end of a cable between two machines: datagrams between sockets in the
// file system, so that either machine may go and come back.
type End struct{ local, remote string }

// NewCable returns the two ends of one, which carries frames until ctx ends.
func NewCable(ctx context.Context, dir, name string) (a, b *End, err error) {
	one, other := filepath.Join(dir, name+".a"), filepath.Join(dir, name+".b")
	fromOne, err := carry(ctx, one+".out", other)
	if err != nil {
		return nil, nil, err
	}
	fromOther, err := carry(ctx, other+".out", one)
	if err != nil {
		return nil, nil, err
	}
	return &End{one, fromOne}, &End{other, fromOther}, nil
}

// netdev is QEMU's for it. The socket of an earlier boot is in the way.
func (e *End) netdev(id string) string {
	os.Remove(e.local)
	return "dgram,id=" + id + ",local.type=unix,local.path=" + e.local + ",remote.type=unix,remote.path=" + e.remote
}

// freePort asks for a port that nobody has.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Plug is an end that a test holds itself: it reads and writes frames.
type Plug struct {
	*net.UnixConn
	cable *net.UnixAddr
}

// Plug opens the end.
func (e *End) Plug() (*Plug, error) {
	os.Remove(e.local)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: e.local, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	return &Plug{conn, &net.UnixAddr{Name: e.remote, Net: "unixgram"}}, nil
}

// Write sends a frame.
func (p *Plug) Write(frame []byte) (int, error) { return p.WriteTo(frame, p.cable) }
