package wireguard

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/overlay/overlaytest"
)

// stream is datagrams from one host to the other, inside the
// tunnel, each with a number.
type stream struct {
	from, to *net.UDPConn
	stop     chan struct{}
	stopped  chan struct{}
	all      sync.WaitGroup
	sent     uint64
	mu       sync.Mutex
	seen     map[uint64]bool
	stalled  time.Duration // the longest that the sender was kept from running
}

// rate is how far apart they are: 1,000 a second in make soak; a tenth under the
// race detector and an emulated processor, which lose packets for want of time.
var rate = map[bool]time.Duration{true: time.Millisecond, false: 10 * time.Millisecond}[soaking()]

// flowing waits for a second and more of both streams.
func flowing(t testing.TB, streams [2]*stream) {
	t.Helper()
	least := uint64(time.Second / rate)
	from := [2]uint64{streams[0].arrived(), streams[1].arrived()}
	await(t, "traffic flows both ways", 30*time.Second, func() bool {
		return streams[0].arrived() > from[0]+least && streams[1].arrived() > from[1]+least
	})
}

func startStream(t testing.TB, from, to *end) *stream {
	t.Helper()
	s := &stream{stop: make(chan struct{}), stopped: make(chan struct{}), seen: map[uint64]bool{}}
	address := func(h *end) *net.UDPAddr { return &net.UDPAddr{IP: h.inner.Addr().AsSlice(), Port: 7000} }
	err := to.ns.Do(func() (err error) { s.to, err = net.ListenUDP("udp", address(to)); return err })
	if err == nil {
		err = from.ns.Do(func() (err error) { s.from, err = net.DialUDP("udp", nil, address(to)); return err })
	}
	if err != nil {
		t.Fatal(err)
	}
	// What a busy machine reads late is not lost: rmem_max would be a third of a
	// second.
	raw, err := s.to.SyscallConn()
	if err == nil {
		var refused error
		err = raw.Control(func(fd uintptr) { refused = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20) })
		err = errors.Join(err, refused)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.all.Go(s.receive)
	s.all.Go(func() {
		defer close(s.stopped)
		tick := time.NewTicker(rate)
		defer tick.Stop()
		begun := time.Now()
		var b [200]byte
		last := begun
		for {
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
			now := time.Now()
			s.stalled, last = max(s.stalled, now.Sub(last)), now
			// What a tick on a busy machine has missed is made up for.
			for due := uint64(time.Since(begun) / rate); s.sent < due; s.sent++ {
				binary.BigEndian.PutUint64(b[:], s.sent)
				if _, err := s.from.Write(b[:]); err != nil {
					t.Errorf("datagram %d: %v", s.sent, err)
					return
				}
			}
		}
	})
	return s
}

func (s *stream) receive() {
	var b [2048]byte
	for {
		n, err := s.to.Read(b[:])
		if err != nil {
			return
		}
		if n >= 8 {
			s.mu.Lock()
			s.seen[binary.BigEndian.Uint64(b[:])] = true
			s.mu.Unlock()
		}
	}
}

func (s *stream) arrived() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.seen))
}

// end stops it and counts what was lost, after all that is under way has come.
func (s *stream) end(t testing.TB) (sent, lost uint64) {
	t.Helper()
	close(s.stop)
	<-s.stopped
	overlaytest.Drain(s.sent, s.arrived)
	s.to.Close()
	s.all.Wait()
	s.from.Close()
	return s.sent, s.sent - s.arrived()
}
