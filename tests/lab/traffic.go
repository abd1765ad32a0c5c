package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Traffic is a stream of numbered datagrams from one appliance to another and
// back: what ping -i does, counted exactly.
type Traffic struct {
	Interval time.Duration

	client, server *net.UDPConn
	stop           context.CancelFunc
	sending        sync.WaitGroup
	listening      sync.WaitGroup

	mu       sync.Mutex
	sent     uint64
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
	return StartBetween(from, to, from.Address.Addr(), to.Address.Addr(), interval)
}

// StartBetween is StartTraffic between two addresses of theirs.
func StartBetween(from, to *Appliance, local, remote netip.Addr, interval time.Duration) (*Traffic, error) {
	t := &Traffic{Interval: interval, answered: map[uint64]bool{}}
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
	t.sending.Go(func() { t.send(ctx, t.server.LocalAddr().(*net.UDPAddr).AddrPort()) })
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

func (t *Traffic) send(ctx context.Context, to netip.AddrPort) {
	tick := time.NewTicker(t.Interval)
	defer tick.Stop()
	buf := make([]byte, 56)
	for {
		t.mu.Lock()
		t.sent++
		binary.BigEndian.PutUint64(buf, t.sent)
		t.mu.Unlock()
		if _, err := t.client.WriteToUDPAddrPort(buf, to); err != nil {
			t.mu.Lock()
			t.errs++
			t.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (t *Traffic) receive() {
	buf := make([]byte, 2048)
	for {
		n, _, err := t.client.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if n >= 8 {
			t.mu.Lock()
			t.answered[binary.BigEndian.Uint64(buf)] = true
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

// Stop ends the stream, gives the last answers two seconds and counts.
func (t *Traffic) Stop() Count {
	t.stop()
	t.sending.Wait()
	deadline := time.Now().Add(2 * time.Second)
	for c := t.Count(); c.Lost() > 0 && time.Now().Before(deadline); c = t.Count() {
		time.Sleep(10 * time.Millisecond)
	}
	t.client.Close()
	t.server.Close()
	t.listening.Wait()
	return t.Count()
}
