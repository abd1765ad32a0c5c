package userspace

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// TestMiddle has datagrams go through mallory's hands. All that reaches the
// receiver is accounted for, frame by frame: of those that are as they were sent
// it delivers what the replay window lets it, and not one of the others.
func TestMiddle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		p      lab.Port
		window uint64
	}{
		{"window 0", lab.Port{Cipher: "gcm-aes-256", MKA: steady, Extra: []string{"replay_window: 0"}}, 0},
		{"window 64, XPN", lab.Port{Cipher: "gcm-aes-xpn-128", MKA: steady, Extra: []string{"replay_window: 64"}}, 64},
		{"integrity only", lab.Port{MKA: steady, Extra: []string{"replay_window: 16", "encrypt: false"}}, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, lab.Options{Middle: true}, c.p)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			m := &mallory{random: rand.New(rand.NewPCG(seed, 0)), window: c.window, owed: map[uint64]int{}}
			f, err := p.Forward(func(from int, frame []byte) [][]byte {
				if from == 0 && binary.BigEndian.Uint16(frame[12:]) == macsecType {
					return m.tamper(frame)
				}
				return [][]byte{frame}
			})
			check(t, err)
			defer f.Close()
			p.start(t)
			m.run(t, p, times(1_000_000, 20_000)/3)
		})
	}
}

// run sends datagrams until so many frames have come from west.
func (m *mallory) run(t *testing.T, p *pair, frames int) {
	server, err := inside(p.east).listen()
	check(t, err)
	client, err := inside(p.west).listen()
	check(t, err)
	defer client.Close()
	got := &deliveries{}
	var reading sync.WaitGroup
	reading.Go(func() { got.receive(server) })
	to := server.LocalAddr().(*net.UDPAddr).AddrPort()

	// ARP is answered before anybody looks for it.
	mac := p.east.MAC.String()
	ip(t, p.west, "neighbor replace "+p.east.Address.Addr().String()+" lladdr "+mac+" dev "+lab.Interface)
	buf := make([]byte, datagramLen)
	sent := uint64(0)
	var s status.Port
	var n tally
	for m.tally().from < uint64(frames) {
		// Few enough for the rings of all devices on the way.
		for range 100 {
			content(buf, sent)
			sent++
			_, err := client.WriteToUDPAddrPort(buf, to)
			check(t, err)
		}
		s, n = m.settle(t, p, sent, got)
	}
	server.Close()
	reading.Wait()
	if s.Counters["in_pkts_ok"] != n.ok || s.Counters["in_pkts_late"] < n.late || s.Counters["in_pkts_overrun"] > 0 {
		t.Errorf("of %d frames that were sent on %d were acceptable, %d late and %d altered; the receiver counts %v", n.sent, n.ok, n.late, n.altered, s.Counters)
	}
	if got.altered > 0 {
		t.Errorf("%d datagrams were delivered that nobody sent", got.altered)
	}
	if got.twice > m.twice() {
		t.Errorf("%d datagrams were delivered more than once; acceptable more than once were %d", got.twice, m.twice())
	}
	if got.n.Load() > n.ok {
		t.Errorf("%d datagrams were delivered, of %d frames that were acceptable", got.n.Load(), n.ok)
	}
	t.Logf("%d sent", sent)
	figure(t, "a man in the middle, replay window %d: %d frames reached the receiver, %d altered; it delivered the %d acceptable ones, %d datagrams twice, and accounts for each: %s",
		m.window, n.sent, n.altered, n.ok, got.twice, verdicts(s))
}

// settle waits until the receiver has accounted for every frame that was sent
// on, so many have come from west, and what was acceptable has been read from
// its socket: what lies there when it is closed, or has no room, would be missed.
// It returns both accounts.
func (m *mallory) settle(t *testing.T, p *pair, from uint64, got *deliveries) (status.Port, tally) {
	t.Helper()
	const noDatagrams = 50 // frames at most: discovery and the like
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var n tally
	ports, err := lab.Wait(ctx, "the receiver to account for every frame", func(s status.Port) bool {
		n = m.tally()
		return n.from >= from && accounted(s) == n.sent && got.n.Load()+noDatagrams >= n.ok
	}, p.east)
	if err != nil {
		s, _ := p.east.Status(t.Context())
		west, _ := p.west.Status(t.Context())
		t.Fatalf("%v; datagrams sent: %d; mallory: %+v; east accounts for %d: %v, %d were delivered; west: %v", err, from, m.tally(), accounted(s), s.Counters, got.n.Load(), west.Counters)
	}
	return ports[0], n
}

// accounted is how many frames an end's SecY has counted.
func accounted(s status.Port) (n uint64) {
	for name, packets := range s.Counters {
		if strings.HasPrefix(name, "in_pkts_") {
			n += packets
		}
	}
	return n
}

// verdicts are the counters of received frames that are not 0.
func verdicts(s status.Port) string {
	var all []string
	for name, packets := range s.Counters {
		if verdict, ok := strings.CutPrefix(name, "in_pkts_"); ok && packets > 0 {
			all = append(all, fmt.Sprintf("%s %d", verdict, packets))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// deliveries are datagrams that were delivered, each time counted; those of them
// that nobody sent; and numbers that were delivered more than once.
type deliveries struct {
	n       atomic.Uint64
	altered int
	twice   int
}

// receive counts what is delivered until the socket is closed.
func (d *deliveries) receive(c *net.UDPConn) {
	times := map[uint64]int{}
	buf := make([]byte, 2048)
	for {
		n, _, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		d.n.Add(1)
		k, ok := number(buf[:n])
		if !ok {
			d.altered++
			continue
		}
		times[k]++
		if times[k] == 2 {
			d.twice++
		}
	}
}
