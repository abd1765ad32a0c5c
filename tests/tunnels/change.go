package tunnels

import (
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/tests/lab"
)

// Rotate changes the PSK by the verb, under a thousand datagrams a second each
// way: none is lost, and each change is proved by a handshake under the new one.
func (s Suite) Rotate(t *testing.T) {
	p := s.pair(t, lab.Options{}, lab.Tunnel{})
	p.start(t)
	// A ticker that is late leaves ticks out: in full it is a thousand a second at least.
	x := p.traffic(t, 0, times(s, 500*time.Microsecond, time.Millisecond))
	p.flows(t, x, 100)
	rounds := times(s, 10, 1)
	if s.Dataplane == "userspace" || s.Type == lab.IPsec {
		rounds = times(s, 50, 1) // none waits for a session to be as old as the kernel's WireGuard does
	}
	start := time.Now()
	for range rounds {
		if _, said := p.rotate(t); !strings.Contains(said, "0 lost") {
			t.Errorf("linkseal rotate does not say that nothing was lost:\n%s", said)
		}
		p.flows(t, x, 100)
	}
	took := time.Since(start)
	c := x.Stop()
	if c.Lost() > 0 {
		for _, a := range p.both() {
			t.Logf("%s has dropped %v", a.Name, p.tunnel(t, a).Dropped)
		}
		t.Errorf("%d rotations: %v", rounds, c)
	}
	p.none(t, "rotation")
	s.figure("%d rotations of the PSK, %v each: %d of %d datagrams lost, %.0f a second each way", rounds, (took / time.Duration(rounds)).Round(10*time.Millisecond), c.Lost(), c.Sent, float64(c.Sent)/took.Seconds())
}

// Reload adds a tunnel, changes one and removes one: the other loses nothing,
// and of what is removed nothing stays.
func (s Suite) Reload(t *testing.T) {
	first, second := lab.Tunnel{}, lab.Tunnel{Of: 1, Name: "hub2"}
	if s.Type == lab.IPsec && s.Dataplane == "userspace" {
		second.Type = lab.WireGuard // charon has one tun
	}
	p := s.pair(t, lab.Options{}, first, second)
	check(t, p.configure(first))
	p.start(t)
	x := p.traffic(t, 0, 5*time.Millisecond)
	p.flows(t, x, 20)
	step := func(what string, tunnels ...lab.Tunnel) {
		t.Helper()
		check(t, p.configure(tunnels...))
		p.reload(t)
		p.secured(t)
		p.flows(t, x, 20)
		p.none(t, what)
		for _, a := range p.both() {
			p.verb(t, a, "plan") // its exit status is not 0 if anything is left to do
		}
	}
	step("a tunnel is added", first, second)
	y := p.traffic(t, 1, 5*time.Millisecond)
	p.flows(t, y, 20)
	first.MTU, first.MSS = 1300, 1200
	step("a tunnel is changed", first, second)
	if got := ip(t, p.west, "link show "+p.member(t, 0)); !strings.Contains(got, "mtu 1300") {
		t.Errorf("the MTU was changed to 1300: %s", got)
	}
	if c := y.Stop(); c.Lost() > 0 {
		t.Errorf("in the tunnel beside the one that was changed: %v", c)
	}
	step("a tunnel is removed", first)
	if c := x.Stop(); c.Lost() > 0 {
		t.Errorf("in the tunnel that was changed, and stayed: %v", c)
	}
	for _, a := range p.both() {
		if got := ip(t, a, "-o link show"); strings.Contains(got, "tun1") {
			t.Errorf("the interface of the tunnel that was removed stays at %s: %s", a.Name, got)
		}
	}
	for _, a := range p.both() {
		if got := ip(t, a, "route show table 19539"); strings.Contains(got, ".1.0/24") || !strings.Contains(got, ".0.0/24") {
			t.Errorf("of two tunnels the second was removed; the routes at %s are\n%s", a.Name, got)
		}
	}
	s.figure("reloads that add, change and remove a tunnel: 0 of %d and 0 of %d datagrams lost", x.Count().Sent, y.Count().Sent)
}
