package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Traffic is a stream of numbered datagrams from one appliance to another and
// back: what ping -i does, counted exactly.
type Traffic struct {
	window         uint64
	client, server *net.UDPConn
	stop           context.CancelFunc
	sending        sync.WaitGroup
	listening      sync.WaitGroup

	mu       sync.Mutex
	sent     uint64
	latest   uint64    // the highest number answered
	heard    time.Time // when anything was answered last
	ended    time.Time // when the last was sent
	answered map[uint64]bool
	errs     uint64
	// disordered arrived behind a later one.
	disordered uint64
}

// Count is what became of a Traffic.
type Count struct {
	Sent, Answered uint64
	// Errors are datagrams that the sending host refused, as with no route.
	// They are in Sent, and are lost.
	Errors uint64
	// Missing are the numbers of those not answered, the first 20.
	Missing []uint64
}

// String says it all in one line.
func (c Count) String() string {
	s := fmt.Sprintf("%d of %d datagrams lost", c.Lost(), c.Sent)
	if c.Errors > 0 {
		s += fmt.Sprintf(", %d refused by the sending host", c.Errors)
	}
	if len(c.Missing) > 0 {
		s += fmt.Sprintf(": numbers %v", c.Missing)
	}
	return s
}

// Lost is how many were not answered.
func (c Count) Lost() uint64 { return c.Sent - c.Answered }

// StartTraffic sends one datagram every interval from one appliance's MACsec
// device to the other's.
func StartTraffic(from, to *Appliance, interval time.Duration) (*Traffic, error) {
	return start(from, to, from.Address.Addr(), to.Address.Addr(), interval, math.MaxUint64)
}

// StartThrough is StartTraffic between two addresses of theirs, through a tunnel:
// a daemon without a processor has a queue of some hundred packets before it, and
// what that has no room for would be told as lost on the way. While none of the
// last 256 is answered only one now and then is sent.
func StartThrough(from, to *Appliance, local, remote netip.Addr, interval time.Duration) (*Traffic, error) {
	return start(from, to, local, remote, interval, 256)
}

func start(from, to *Appliance, local, remote netip.Addr, interval time.Duration, window uint64) (*Traffic, error) {
	t := &Traffic{window: window, answered: map[uint64]bool{}}
	var err error
	if t.server, err = listen(to, remote); err != nil {
		return nil, err
	}
	if t.client, err = listen(from, local); err != nil {
		t.server.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.stop = cancel
	t.listening.Go(t.echo)
	t.listening.Go(t.receive)
	t.sending.Go(func() { t.send(ctx, t.server.LocalAddr().(*net.UDPAddr).AddrPort(), interval) })
	return t, nil
}

// listen takes any port: one just closed is taken still while another goroutine
// starts a process.
func listen(a *Appliance, addr netip.Addr) (c *net.UDPConn, err error) {
	err = a.NS.Do(func() error {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		return err
	})
	if err == nil {
		err = deepen(c)
	}
	if err != nil {
		return nil, fmt.Errorf("traffic at %s: %w", a.Name, err)
	}
	return c, nil
}

// deepen gives a socket room for what comes while nobody has a processor to read
// it: what it drops would be told as lost on the way.
func deepen(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	}); e != nil {
		return e
	}
	return err
}

// Port is the UDP port that it is sent from.
func (t *Traffic) Port() uint16 { return t.client.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

// Disordered is how many datagrams arrived behind a later one.
func (t *Traffic) Disordered() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.disordered
}

func (t *Traffic) echo() {
	buf := make([]byte, 2048)
	latest := uint64(0)
	for {
		n, from, err := t.server.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if n >= 8 {
			number := binary.BigEndian.Uint64(buf)
			if number < latest {
				t.mu.Lock()
				t.disordered++
				t.mu.Unlock()
			}
			latest = max(latest, number)
		}
		t.server.WriteToUDPAddrPort(buf[:n], from)
	}
}

func (t *Traffic) send(ctx context.Context, to netip.AddrPort, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	buf := make([]byte, 56)
	var last time.Time
	for {
		t.mu.Lock()
		now := time.Now()
		may := t.mayFollow(now.Sub(last))
		if may {
			t.sent++
			last = now
			binary.BigEndian.PutUint64(buf, t.sent)
		}
		t.mu.Unlock()
		if may {
			if _, err := t.client.WriteToUDPAddrPort(buf, to); err != nil {
				t.mu.Lock()
				t.errs++
				t.mu.Unlock()
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// mayFollow tells whether another may be sent when the last was that long ago.
func (t *Traffic) mayFollow(idle time.Duration) bool {
	return t.sent-t.latest < t.window || idle >= 100*time.Millisecond
}

func (t *Traffic) receive() {
	buf := make([]byte, 2048)
	for {
		n, _, err := t.client.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if n >= 8 {
			number := binary.BigEndian.Uint64(buf)
			t.mu.Lock()
			t.answered[number] = true
			t.latest, t.heard = max(t.latest, number), time.Now()
			t.mu.Unlock()
		}
	}
}

// Count is the state so far; what is under way counts as lost.
func (t *Traffic) Count() Count {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := Count{Sent: t.sent, Answered: uint64(len(t.answered)), Errors: t.errs}
	for n := uint64(1); n <= t.sent && c.Lost() > 0 && len(c.Missing) < min(20, int(c.Lost())); n++ {
		if !t.answered[n] {
			c.Missing = append(c.Missing, n)
		}
	}
	return c
}

// Stop ends the stream, waits for the last answers as long as any come, and
// counts.
func (t *Traffic) Stop() Count {
	t.stop()
	t.sending.Wait()
	t.mu.Lock()
	if t.ended.IsZero() {
		t.ended = time.Now()
	}
	t.mu.Unlock()
	for t.Count().Lost() > 0 && !t.quiet() {
		time.Sleep(10 * time.Millisecond)
	}
	t.client.Close()
	t.server.Close()
	t.listening.Wait()
	return t.Count()
}

// quiet tells that no answer has come for long since the end.
func (t *Traffic) quiet() bool {
	const long = 5 * time.Second
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.ended) > long && time.Since(t.heard) > long
}
