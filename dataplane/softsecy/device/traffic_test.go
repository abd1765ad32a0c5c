package device

import (
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Datagrams and streams pass both ways whole, over AF_XDP and over packet
// sockets, and both sides and their filters have counted the same.
func TestTraffic(t *testing.T) {
	for _, c := range []struct {
		how   string
		s     setting
		sizes []int
	}{
		{"AF_XDP, 1 queues", setting{mtu: 1500}, []int{1, 18, 1000, 1440, 1441, 9000}},
		{"AF_XDP, 1 queues", setting{mtu: 3000, suite: sa.GCMAES128, window: new(uint32)}, []int{1, 2940, 5000}},
		{"packet socket (no AF_XDP: frames of 9014 octets", setting{mtu: 9000}, []int{1, 8940, 8941, 30000}},
	} {
		p := newPair(t, c.s)
		if how := p.west.d.PortIO(); !strings.HasPrefix(how, c.how) {
			t.Errorf("frames reach the port by %q, want %q", how, c.how)
		}
		p.secure(t)
		echo(t, p.west, p.east, c.sizes...)
		newStream(t, p.west, p.east).run(t, 4<<20, nil)
		newStream(t, p.east, p.west).run(t, 1<<20, nil)
		p.settle(t)
	}
}

// With should frames pass in clear until the port is secured.
func TestShould(t *testing.T) {
	p := newPair(t, setting{mtu: 1500, should: true})
	p.set(t, sa.Clear)
	echo(t, p.west, p.east, 1, 1000)
	if c := p.west.counters(t); c.OutPktsEncrypted != 0 || c.OutPktsUntagged == 0 || c.InPktsUntagged == 0 {
		t.Errorf("in clear: %+v", c)
	}
	p.secure(t)
	// What was under way in clear when the port was secured is counted when a
	// frame has come after it.
	echo(t, p.west, p.east, 1)
	clear := p.west.counters(t).OutPktsUntagged
	echo(t, p.west, p.east, 1, 1000)
	p.settle(t)
	if c := p.west.counters(t); c.OutPktsEncrypted == 0 || c.OutPktsUntagged != clear {
		t.Errorf("secured: %+v", c)
	}
}

// Every 20 ms both sides have another key, under a stream: nothing is lost, nor
// late, nor without its SA.
func TestKeyChange(t *testing.T) {
	p := newPair(t, setting{mtu: 1500, window: new(uint32)})
	p.secure(t)
	s, stop, done := newStream(t, p.west, p.east), make(chan struct{}), make(chan int)
	go func() { done <- s.run(t, 0, stop) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	const changes = 40
	for n := 1; n <= changes; n++ {
		<-tick.C
		p.change(t, n)
		// The old key goes when nothing is under way with it: its frames are
		// all counted when one of the new key is.
		moved := func(from, to *side) bool {
			before, after := uint8((n-1)%4), uint8(n%4)
			return from.sent(t, after) > 0 && from.sent(t, before) == to.received(t, before)
		}
		await(t, "the traffic to move", func() bool { return moved(p.west, p.east) && moved(p.east, p.west) })
		p.remove(t, n-1)
	}
	close(stop)
	if n := <-done; n < 1<<20 {
		t.Errorf("%d octets in all", n)
	}
	p.settle(t)
}

// The parameters change between two frames of a stream.
func TestParametersLive(t *testing.T) {
	p := newPair(t, setting{mtu: 1500})
	p.secure(t)
	s, stop, done := newStream(t, p.west, p.east), make(chan struct{}), make(chan int)
	go func() { done <- s.run(t, 0, stop) }()
	window := uint32(0)
	for _, c := range []softsecy.Parameters{
		{}, {SendSCI: true}, {EndStation: true, Encrypt: true}, {Encrypt: true, ReplayWindow: &window}, {SendSCI: true, Encrypt: true}, {MaxMPDU: 1}, {},
	} {
		before := p.west.counters(t)
		p.west.d.SetParameters(c)
		p.east.d.SetParameters(c)
		await(t, "frames as they are asked for", func() bool {
			now := p.west.counters(t)
			if c.Encrypt {
				return now.OutPktsEncrypted > before.OutPktsEncrypted+100
			}
			return now.OutPktsProtected > before.OutPktsProtected+100
		})
	}
	close(stop)
	<-done
	p.settle(t)
	echo(t, p.west, p.east, 1440)
}

// When the filter was taken away and put back, FilterSet has it feed the
// sockets again.
func TestFilterSet(t *testing.T) {
	p := newPair(t, setting{mtu: 1500})
	p.secure(t)
	echo(t, p.west, p.east, 100)
	e := p.east
	e.do(t, func() error { return bpf.Detach(e.port.Index) })
	e.do(t, func() error { e.d.FilterSet(); return nil }) // of none: what was stays
	e.do(t, func() error {
		f, err := bpf.Attach(e.port.Index, bpf.Filter{EtherType: eapol})
		if err == nil {
			t.Cleanup(func() { f.Close() })
			e.filter = f
		}
		return err
	})
	if reaches(t, p.west, e, 50*time.Millisecond) {
		t.Error("a frame came before the filter fed the socket")
	}
	for range 2 {
		e.do(t, func() error { e.d.FilterSet(); return nil })
		echo(t, p.west, e, 100, 1000)
	}
	await(t, "the new filter's counters", func() bool { // what is sent is counted after it
		c, err := e.filter.Counters()
		if err != nil {
			t.Fatal(err)
		}
		return c.Egress.MACsec.Packets >= 4 && c.Ingress.MACsec.Packets >= 4
	})
}
