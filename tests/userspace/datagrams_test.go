package userspace

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/linkseal/linkseal/tests/lab"
)

// datagrams is a stream of numbered datagrams of 64 octets from one socket to
// another, which sends each back. Each octet is checked, both times are taken.
type datagrams struct {
	client, server *net.UDPConn
	start          time.Time
	stop           context.CancelFunc
	sending        sync.WaitGroup
	listening      sync.WaitGroup

	mu    sync.Mutex
	sent  []datagram
	wrong int // did not arrive as sent
}

// datagram is what became of one; times are since it was sent.
type datagram struct {
	at          time.Duration // since the start
	there, back time.Duration
	nThere      int // how often it arrived
	nBack       int
}

// place is an address in a namespace.
type place struct {
	*lab.Appliance
	addr netip.Addr
}

// inside is an appliance's address on its interface.
func inside(a *lab.Appliance) place { return place{a, a.Address.Addr()} }

// loopback is any appliance's own.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// sendDatagrams begins to send so many in a second, fewer where the machine does
// not get to it.
func sendDatagrams(t *testing.T, from, to place, perSecond int) *datagrams {
	t.Helper()
	d := &datagrams{start: time.Now()}
	var err error
	d.server, err = to.listen()
	check(t, err)
	t.Cleanup(func() { d.server.Close() })
	d.client, err = from.listen()
	check(t, err)
	t.Cleanup(func() { d.client.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	d.stop = cancel
	d.listening.Go(d.echo)
	d.listening.Go(d.receive)
	d.sending.Go(func() { d.send(ctx, time.Second/time.Duration(perSecond)) })
	t.Cleanup(func() { d.stop(); d.sending.Wait() })
	return d
}

func (p place) listen() (c *net.UDPConn, err error) {
	err = p.NS.Do(func() error {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.addr, 0)))
		if err != nil {
			return err
		}
		return c.SetReadBuffer(1 << 20)
	})
	return c, err
}

const datagramLen = 64

// content writes datagram n: its number, and octets that follow from it.
func content(b []byte, n uint64) {
	binary.BigEndian.PutUint64(b, n)
	for i := 8; i < len(b); i++ {
		b[i] = byte(n)*31 + byte(i)
	}
}

// number reads a datagram; false if it is not one that was sent.
func number(b []byte) (uint64, bool) {
	if len(b) != datagramLen {
		return 0, false
	}
	n := binary.BigEndian.Uint64(b)
	var want [datagramLen]byte
	content(want[:], n)
	return n, slices.Equal(b, want[:])
}

func (d *datagrams) send(ctx context.Context, every time.Duration) {
	to := d.server.LocalAddr().(*net.UDPAddr).AddrPort()
	tick := time.NewTicker(every)
	defer tick.Stop()
	buf := make([]byte, datagramLen)
	due := d.start
	for n := uint64(0); ; {
		now := time.Now()
		if now.Sub(due) > 50*every {
			due = now // it catches up no more than that: queues are only so long
		}
		for ; !due.After(now) && d.mayFollow(n); due = due.Add(every) {
			content(buf, n)
			d.mu.Lock()
			d.sent = append(d.sent, datagram{at: time.Since(d.start)})
			d.mu.Unlock()
			_, _ = d.client.WriteToUDPAddrPort(buf, to) // what is refused is missing
			n++
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// mayFollow tells whether datagram n may be sent: few are under way, or nothing
// has come back for a second. This process may be slower than the link, and
// what its sockets have no room for would be lost.
func (d *datagrams) mayFollow(n uint64) bool {
	const few = 256
	if n < few {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	x := &d.sent[n-few]
	return x.nBack > 0 || time.Since(d.start)-x.at > time.Second
}

func (d *datagrams) echo() {
	buf := make([]byte, 2048)
	for {
		n, from, err := d.server.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		_, _ = d.server.WriteToUDPAddrPort(buf[:n], from)
		d.arrived(buf[:n], func(x *datagram, took time.Duration) { x.nThere++; x.there = took })
	}
}

func (d *datagrams) receive() {
	buf := make([]byte, 2048)
	for {
		n, _, err := d.client.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		d.arrived(buf[:n], func(x *datagram, took time.Duration) { x.nBack++; x.back = took })
	}
}

func (d *datagrams) arrived(b []byte, note func(x *datagram, took time.Duration)) {
	n, ok := number(b)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !ok || n >= uint64(len(d.sent)) {
		d.wrong++
		return
	}
	x := &d.sent[n]
	note(x, time.Since(d.start)-x.at)
}

// count is what became of some of a stream.
type count struct {
	sent, lost, twice, wrong int
	there, back              time.Duration // the longest one way, and both
	late                     int           // there and back in more than a bound
}

func (c count) String() string {
	return fmt.Sprintf("of %d datagrams %d lost, %d twice, %d altered, %d late; the slowest took %v one way, %v there and back",
		c.sent, c.lost, c.twice, c.wrong, c.late, c.there.Round(time.Microsecond), c.back.Round(time.Microsecond))
}

// count is of the datagrams from number first on; what is under way counts as
// lost. bound is what is late.
func (d *datagrams) count(first int, bound time.Duration) count {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := count{sent: len(d.sent) - first, wrong: d.wrong}
	for _, x := range d.sent[first:] {
		if x.nThere == 0 || x.nBack == 0 {
			c.lost++
		}
		if x.nThere > 1 || x.nBack > 1 {
			c.twice++
		}
		if x.back > bound {
			c.late++
		}
		c.there, c.back = max(c.there, x.there), max(c.back, x.back)
	}
	return c
}

// number of those sent so far.
func (d *datagrams) now() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sent)
}

// rate is how many were sent in a second, from number first on.
func (d *datagrams) rate(first int) float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	sent := d.sent[first:]
	return float64(len(sent)-1) / (sent[len(sent)-1].at - sent[0].at).Seconds()
}

// flow waits until so many more were sent and have come back.
func (d *datagrams) flow(t *testing.T, more int) {
	t.Helper()
	first := d.now()
	eventually(t, fmt.Sprintf("%d datagrams to come back", more), func() bool {
		c := d.count(first, 0)
		return c.sent-c.lost >= more
	})
}

// end stops the stream and gives the last ones five seconds.
func (d *datagrams) end() {
	d.stop()
	d.sending.Wait()
	for deadline := time.Now().Add(5 * time.Second); d.count(0, 0).lost > 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	d.client.Close()
	d.server.Close()
	d.listening.Wait()
}

// carries sends datagrams one way and back and demands all of them.
func carries(t *testing.T, from, to *lab.Appliance) {
	t.Helper()
	d := sendDatagrams(t, inside(from), inside(to), 500)
	d.flow(t, 100)
	d.end()
	if c := d.count(0, patience); c.lost+c.twice+c.wrong > 0 {
		t.Errorf("%s to %s: %v", from.Name, to.Name, c)
	}
}
