package userspace

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// In should-secure a port carries clear traffic while no peer is there. Once
// secured, nothing is in clear until the peer's life has expired.
func TestShould(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{Extra: []string{"secure: should"}, MKA: "hello: 1s, life: 4s"})
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
	if n := clear.Count(); n.Clear < 200 {
		t.Errorf("%d frames were in clear", n.Clear)
	}

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

	// The peer's last hello was at most one hello time before it was killed.
	d := sendDatagrams(t, inside(p.west), inside(p.east), 200)
	d.flow(t, 20)
	check(t, p.east.Kill())
	killed := time.Now()
	eventually(t, "clear traffic", func() bool { return clear.Count().Clear > was })
	if early := time.Since(killed); early < 3*time.Second {
		t.Errorf("clear traffic %v after the peer was killed, before its life expired", early)
	}
	wait(t, "west to say so", func(s status.Port) bool { return s.Passing == status.PassingClear }, p.west)
}
