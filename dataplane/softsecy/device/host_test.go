package device

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// udp opens a UDP socket at the side's address.
func (e *side) udp(t testing.TB) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	e.do(t, func() (err error) {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(e.address, 0)))
		return err
	})
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func addrPort(c net.Conn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// pattern is n octets that another start has otherwise.
func pattern(start, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((start + i) * (start + i) >> 3)
	}
	return b
}

// echo sends datagrams of the sizes from a to b and back, one at a time.
func echo(t testing.TB, a, b *side, sizes ...int) {
	t.Helper()
	ca, cb := a.udp(t), b.udp(t)
	defer ca.Close()
	defer cb.Close()
	buf := make([]byte, 1<<16)
	for i, size := range sizes {
		want := pattern(i, size)
		for _, way := range [][2]*net.UDPConn{{ca, cb}, {cb, ca}} {
			if _, err := way[0].WriteToUDPAddrPort(want, addrPort(way[1])); err != nil {
				t.Fatal(err)
			}
			n, err := way[1].Read(buf)
			if err != nil || !bytes.Equal(buf[:n], want) {
				t.Fatalf("a datagram of %d octets: %d came, %v", size, n, err)
			}
		}
	}
}

// reaches tells whether a datagram from a reaches b within d.
func reaches(t testing.TB, a, b *side, d time.Duration) bool {
	t.Helper()
	ca, cb := a.udp(t), b.udp(t)
	defer ca.Close()
	defer cb.Close()
	if err := cb.SetDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.WriteToUDPAddrPort([]byte("?"), addrPort(cb)); err != nil {
		t.Fatal(err)
	}
	_, err := cb.Read(make([]byte, 1))
	return err == nil
}

// stream is a TCP connection. It has buffers so small that no ring on its way
// runs over: what is lost is then a fault.
type stream struct{ from, to *net.TCPConn }

func newStream(t testing.TB, a, b *side) *stream {
	t.Helper()
	var l *net.TCPListener
	b.do(t, func() (err error) {
		l, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(b.address, 0)))
		return err
	})
	defer l.Close()
	s := &stream{}
	a.do(t, func() error {
		c, err := (&net.Dialer{Timeout: patience}).Dial("tcp4", l.Addr().String())
		if err != nil {
			return err
		}
		s.from = c.(*net.TCPConn)
		return nil
	})
	t.Cleanup(func() { s.from.Close() })
	var err error
	if s.to, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.to.Close() })
	for _, c := range []*net.TCPConn{s.from, s.to} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// run sends until stop, or if that is nil so many octets, and checks what
// comes. It returns how many did.
func (s *stream) run(t testing.TB, octets int, stop <-chan struct{}) (n int) {
	t.Helper()
	sent := make(chan int, 1)
	go func() {
		total := 0
		defer func() { s.from.CloseWrite(); sent <- total }()
		for stop != nil || total < octets {
			select {
			case <-stop:
				return
			default:
			}
			s.from.SetWriteDeadline(time.Now().Add(patience))
			w, err := s.from.Write(words(total, 1<<15))
			if total += w; err != nil {
				t.Error(err)
				return
			}
		}
	}()
	buf := make([]byte, 1<<15)
	for {
		s.to.SetReadDeadline(time.Now().Add(patience))
		m, err := io.ReadFull(s.to, buf)
		if !bytes.Equal(buf[:m], words(n, m)) {
			t.Errorf("the stream is another after %d octets", n)
			return n
		}
		n += m
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			t.Error(err)
			return n
		}
	}
	if total := <-sent; total != n {
		t.Errorf("%d octets were sent, %d came", total, n)
	}
	return n
}

// words are n octets of a stream from an octet on, both multiples of 8 but for
// the end.
func words(from, n int) []byte {
	b := make([]byte, 0, n+8)
	for ; len(b) < n; from += 8 {
		b = binary.BigEndian.AppendUint64(b, uint64(from)*0x9e3779b97f4a7c15)
	}
	return b[:n]
}
