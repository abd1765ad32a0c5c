package userspace

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/tests/lab"
)

// blockLen is the length of what a stream repeats: odd, so that no segment and
// no packet begins where another did.
const blockLen = 1<<20 - 1

// stream is one TCP connection that carries all it can one way. The receiver
// compares every octet.
type stream struct {
	from, to *net.TCPConn
	block    []byte
	running  sync.WaitGroup

	mu     sync.Mutex
	octets int64
	last   time.Time
	stall  time.Duration // the longest time in which nothing came
	err    error
}

// startStream begins to send from one appliance to another.
func startStream(t *testing.T, from, to *lab.Appliance) *stream {
	t.Helper()
	s := &stream{block: make([]byte, blockLen)}
	rand.Read(s.block)
	var l *net.TCPListener
	check(t, to.NS.Do(func() (err error) {
		l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(to.Address.Addr(), 0)))
		return err
	}))
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// Goroutines of a Dialer run outside the namespace; without a timeout of
	// its own and with one address it has none.
	check(t, from.NS.Do(func() error {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp4", l.Addr().String())
		if err == nil {
			s.from = c.(*net.TCPConn)
		}
		return err
	}))
	t.Cleanup(func() { s.from.Close() })
	check(t, l.SetDeadline(time.Now().Add(patience)))
	var err error
	s.to, err = l.AcceptTCP()
	check(t, err)
	t.Cleanup(func() { s.to.Close() })
	s.last = time.Now()
	s.running.Go(s.send)
	s.running.Go(s.receive)
	return s
}

func (s *stream) send() {
	for {
		if _, err := s.from.Write(s.block); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.fail(err)
			}
			return
		}
	}
}

func (s *stream) receive() {
	buf := make([]byte, 256<<10)
	for at := 0; ; {
		n, err := s.to.Read(buf)
		now := time.Now()
		for b := buf[:n]; len(b) > 0; {
			part := s.block[at:min(blockLen, at+len(b))]
			if !bytes.Equal(part, b[:len(part)]) {
				s.fail(fmt.Errorf("TCP stream: octets after %d are not those that were sent", s.total()))
				return
			}
			b, at = b[len(part):], (at+len(part))%blockLen
		}
		s.mu.Lock()
		if n > 0 {
			s.octets += int64(n)
			s.stall = max(s.stall, now.Sub(s.last))
			s.last = now
		}
		s.mu.Unlock()
		if err != nil {
			if err != io.EOF {
				s.fail(err)
			}
			return
		}
	}
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, err)
}

func (s *stream) total() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.octets
}

// stalled is the longest time in which nothing came since the last call.
func (s *stream) stalled() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := max(s.stall, time.Since(s.last))
	s.stall = 0
	return d
}

// again is how many segments were sent again so far.
func (s *stream) again(t *testing.T) (n int) {
	t.Helper()
	raw, err := s.from.SyscallConn()
	check(t, err)
	check(t, raw.Control(func(fd uintptr) {
		info, e := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if e == nil {
			n = int(info.Total_retrans)
		}
		err = e
	}), err)
	return n
}

// end closes the stream and demands that all came as it was sent. It returns
// how many octets that was.
func (s *stream) end(t *testing.T) int64 {
	t.Helper()
	check(t, s.from.Close(), s.to.SetReadDeadline(time.Now().Add(patience)))
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	check(t, s.err)
	return s.octets
}
