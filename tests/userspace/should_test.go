package userspace

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// In should-secure a port carries clear traffic while no peer is there. Once
// secured, nothing is in clear until the peer's life has expired.
func TestShould(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{Extra: []string{"secure: should"}, MKA: "hello: 1s, life: " + life.String()})
	clear, err := p.WatchUnsealed(0)
	check(t, err)
	defer clear.Close()
	// The host has a should-secure port too, as with the kernel's MACsec: where it
	// does not look by which way a packet came it takes those in clear twice.
	for _, a := range p.both() {
		check(t, a.NS.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("1"), 0) }))
	}
	// Two ports in clear, each without a peer: their keys differ.
	check(t, p.east.WriteKeys(key(t)), p.west.Start(), p.east.Start())
	wait(t, "both ends to pass clear traffic", func(s status.Port) bool {
		return s.State == status.Unsecured && s.Passing == status.PassingClear && s.UnsecuredReason != ""
	}, p.both()...)
	nothingToPlan(t, p.both()...)
	carries(t, p.west, p.east)
	eventually(t, "200 frames in clear", func() bool { return clear.Count().Clear >= 200 })

	check(t, p.east.WriteKeys(p.key))
	for i, s := range p.settled(t) {
		if s.Passing != status.PassingProtected || !strings.HasPrefix(s.PortIO, "packet socket") {
			t.Errorf("%s: passing %s, port_io %s", p.both()[i].Name, s.Passing, s.PortIO)
		}
	}
	was := clear.Count().Clear
	carries(t, p.west, p.east)
	bulk(t, p.east, p.west)
	if n := clear.Count().Clear; n > was {
		t.Errorf("%d frames were in clear while the ends were secured; the last %x", n-was, clear.LastClear())
	}
	nothingToPlan(t, p.both()...)

	// From the last that west hears of its peer on.
	var mu sync.Mutex
	var hello, first time.Time
	tap, err := lab.Listen(p.west, lab.Device, func(f lab.Frame) {
		mu.Lock()
		defer mu.Unlock()
		switch f.EtherType() {
		case 0x888e:
			if !f.Outgoing && first.IsZero() {
				hello = f.At
			}
		case 0x0800:
			if f.Outgoing && first.IsZero() {
				first = f.At
			}
		}
	})
	check(t, err)
	defer tap.Close()
	d := sendDatagrams(t, inside(p.west), inside(p.east), 200)
	d.flow(t, 20)
	wait(t, "the peer to be heard", func(status.Port) bool { mu.Lock(); defer mu.Unlock(); return !hello.IsZero() }, p.west)
	check(t, p.east.Kill())
	eventually(t, "clear traffic", func() bool { mu.Lock(); defer mu.Unlock(); return !first.IsZero() })
	wait(t, "west to say so", func(s status.Port) bool { return s.Passing == status.PassingClear }, p.west)
	mu.Lock()
	defer mu.Unlock()
	if early := first.Sub(hello); early < life {
		t.Errorf("clear traffic %v after the peer's last MKPDU, before its life of %v expired", early, life)
	}
	figure(t, "should-secure in user space: the first clear frame %v after the peer's last MKPDU, with a life of %v", first.Sub(hello).Round(time.Millisecond), life)
}

const life = 8 * time.Second
