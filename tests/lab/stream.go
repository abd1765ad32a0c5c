package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// pattern is what Stream sends, over and over: random, so that compression or a
// repeated segment cannot hide, and of a length that no segment's divides.
var pattern = sync.OnceValue(func() []byte {
	b := make([]byte, 65521)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
})

// Stream sends octets over one TCP connection to the address to of another
// appliance, as fast as it goes, and fails if others arrive. A connection goes
// through segmentation and coalescing (TSO, GRO) where the devices have it.
func Stream(ctx context.Context, from, at *Appliance, to netip.Addr, octets int) error {
	var l *net.TCPListener
	err := at.NS.Do(func() (err error) {
		l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(to, 0)))
		return err
	})
	if err != nil {
		return fmt.Errorf("stream at %s: %w", at.Name, err)
	}
	defer l.Close()
	deadline, _ := ctx.Deadline()
	if err := l.SetDeadline(deadline); err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() { received <- receive(l, octets, deadline) }()
	if err := send(ctx, from, l.Addr().String(), octets, deadline); err != nil {
		l.Close()
		return errors.Join(fmt.Errorf("stream from %s to %s: %w", from.Name, to, err), <-received)
	}
	if err := <-received; err != nil {
		return fmt.Errorf("stream from %s to %s: %w", from.Name, to, err)
	}
	return nil
}

func send(ctx context.Context, from *Appliance, to string, octets int, deadline time.Time) error {
	var c net.Conn
	err := from.NS.Do(func() (err error) {
		// One address, so that the socket is made by this thread.
		c, err = (&net.Dialer{}).DialContext(ctx, "tcp", to)
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	for left := octets; left > 0; {
		n, err := c.Write(pattern()[:min(left, len(pattern()))])
		if err != nil {
			return err
		}
		left -= n
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	// The other end closes when it has all.
	_, err = c.Read(make([]byte, 1))
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func receive(l *net.TCPListener, octets int, deadline time.Time) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	buf := make([]byte, len(pattern()))
	got := 0
	for {
		n, err := io.ReadFull(c, buf)
		if !bytes.Equal(buf[:n], pattern()[:n]) {
			return fmt.Errorf("octets %d to %d are not what was sent", got, got+n)
		}
		got += n
		switch {
		case err == nil:
		case got == octets && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
			return nil
		default:
			return fmt.Errorf("%d of %d octets: %w", got, octets, err)
		}
	}
}
