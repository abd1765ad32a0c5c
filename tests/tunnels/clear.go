package tunnels

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// between is the pause between two clear packets of one sender: all of them
// together leave the processors something to do.
const between = 200 * time.Microsecond

// sender sends clear packets, over and over.
type sender struct {
	tried, sent atomic.Uint64
	stop        func()
}

func sending(t *testing.T, send func() error, end func() error) *sender {
	s := &sender{}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	tick := time.NewTicker(between)
	done.Go(func() {
		for ctx.Err() == nil {
			if send() == nil { // else the device is down, or nothing is routed
				s.sent.Add(1)
			}
			s.tried.Add(1)
			<-tick.C
		}
	})
	s.stop = sync.OnceFunc(func() { cancel(); done.Wait(); tick.Stop(); end() })
	t.Cleanup(s.stop)
	return s
}

// inject sends a frame from an appliance's device, as a careless program would.
func inject(t *testing.T, from *lab.Appliance, frame []byte) *sender {
	t.Helper()
	s, err := lab.OpenSender(from, lab.Device, false)
	check(t, err)
	return sending(t, func() error { return s.Send(frame) }, s.Close)
}

// datagrams sends lab.ClearMark from a site to a port of another, as routed.
func datagrams(t *testing.T, from *lab.Appliance, local, remote netip.Addr, port uint16) *sender {
	t.Helper()
	var c *net.UDPConn
	check(t, from.NS.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
		return err
	}))
	to := netip.AddrPortFrom(remote, port)
	return sending(t, func() error { _, err := c.WriteToUDPAddrPort(lab.ClearMark, to); return err }, c.Close)
}

// The ports of datagrams: by mistake is routed past the tunnel.
const byMistake, asRouted, arriving = 9, 10, 11

// heard counts what comes for the site's port without the tunnel: the mark is in
// nothing else that is sent there.
func heard(t *testing.T, a *lab.Appliance, at netip.Addr, port uint16) *atomic.Uint64 {
	t.Helper()
	var c *net.UDPConn
	check(t, a.NS.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, port)))
		return err
	}))
	n := &atomic.Uint64{}
	var done sync.WaitGroup
	done.Go(func() {
		buf := make([]byte, 2048)
		for {
			if _, _, err := c.ReadFromUDPAddrPort(buf); err != nil {
				return
			}
			n.Add(1)
		}
	})
	t.Cleanup(func() { c.Close(); done.Wait() })
	return n
}

// Clear sends what is protected in clear: out of west's device, by a route past
// the tunnel, and at west from a stranger on the underlay; from before its daemon
// first starts and through all that befalls it. None is on the underlay or comes
// in, and what was dropped is counted.
func (s Suite) Clear(t *testing.T) {
	p := s.pair(t, lab.Options{Names: []string{"mallory"}}, lab.Tunnel{Probe: "200ms"})
	mallory := p.Appliances[2]
	check(t, p.west.Start())
	// Before enforcement nothing is promised: it is there once the tunnel is told of.
	p.eventually(t, "enforcement at west", func() bool {
		all, err := p.west.Tunnels(t.Context())
		return err == nil && len(all) == 1 && all[0].Enforcement != nil && all[0].Filter != nil
	})
	site, other := p.west.Site(0), p.east.Site(0)
	in := heard(t, p.west, site, arriving)
	// Its neighbour is known throughout: what ARP drops while the tunnel is cut would
	// be sent, and never come to the filter.
	ip(t, p.west, "neighbor replace "+p.east.Under.String()+" lladdr "+p.east.MAC.String()+" dev "+lab.Device)
	ip(t, p.west, "route add "+other.String()+" via "+p.east.Under.String()+" dev "+lab.Device)
	ip(t, p.west, "rule add pref 100 ipproto udp dport 9 lookup main")
	injected := inject(t, p.west, lab.ClearPacket(p.east.MAC, p.west.MAC, site, other, byMistake))
	mistaken := datagrams(t, p.west, site, other, byMistake)
	routed := datagrams(t, p.west, site, other, asRouted)
	strange := inject(t, mallory, lab.ClearPacket(p.west.MAC, mallory.MAC, other, site, arriving))
	all := []*sender{injected, mistaken, routed, strange}

	phase := func(what string, do func()) {
		t.Helper()
		do()
		for _, x := range all {
			n := x.tried.Load()
			p.eventually(t, "more clear packets, "+what, func() bool { return x.tried.Load() >= n+20 })
		}
		p.none(t, what)
		if n := in.Load(); n > 0 {
			t.Fatalf("%s: %d clear packets came in from the underlay", what, n)
		}
	}
	restart := func() { check(t, p.west.Start()); p.secured(t) }
	phase("unsecured", func() {})
	phase("start of east", func() { check(t, p.east.Start()); p.secured(t) })
	for range times(s, 10, 1) {
		phase("reload", func() {
			check(t, p.configure(lab.Tunnel{Probe: "200ms", MTU: 1380}))
			p.reload(t)
			check(t, p.configure(lab.Tunnel{Probe: "200ms"}))
			p.reload(t)
		})
		phase("rotation of the PSK", func() { p.rotate(t) })
		phase("kill -9", func() { check(t, p.west.Kill()) })
		phase("start after it", restart)
		phase("stop", func() { check(t, p.west.Stop(t.Context())) })
		phase("start after it", restart)
		phase("the member's interface taken down", func() {
			ip(t, p.west, "link set "+p.member(t, 0)+" down")
			p.eventually(t, "the interface to be up again", func() bool {
				return strings.Contains(ip(t, p.west, "link show "+p.member(t, 0)), ",UP")
			})
			p.secured(t)
		})
		if s.Type == lab.IPsec {
			phase("rekey", func() {
				for _, what := range []string{"--child", "--ike"} {
					command(t, p.west, "swanctl", "--rekey", what, "linkseal.hub1.0", "--uri", p.west.CharonSocket())
				}
				p.secured(t)
			})
			phase("kill -9 of charon", func() { check(t, p.west.KillCharon()) })
			phase("start of charon after it", func() { p.secured(t) })
		}
		phase("the tunnel cut", func() {
			check(t, p.Cut(true))
			p.wait(t, "both ends to notice", func(s status.Tunnel) bool { return s.State == status.Unsecured })
		})
		phase("the tunnel back", func() { check(t, p.Cut(false)); p.secured(t) })
	}
	tunnels := p.secured(t)
	if len(tunnels[0][0].ClearRoutes) == 0 {
		t.Error("west does not tell of the other way that its routes have")
	}
	if len(tunnels[1][0].ClearRoutes) > 0 {
		t.Errorf("east tells of other ways, and has none: %v", tunnels[1][0].ClearRoutes)
	}
	injected.stop()
	mistaken.stop()
	all = []*sender{routed, strange}
	sent := injected.sent.Load() + mistaken.sent.Load()
	var out status.Tunnel
	p.eventually(t, "west's counters", func() bool {
		all, err := p.west.Tunnels(t.Context())
		if err == nil && len(all) == 1 {
			out = all[0]
		}
		return out.Filter["egress_protected_packets"] >= sent
	})
	phase("flap", func() {
		for range times(s, 50, 5) {
			check(t, p.SetCarrier(0, false), p.SetCarrier(0, true))
		}
		p.secured(t)
	})
	// The far end's counter does count.
	counted, err := p.ClearCounted(2)
	check(t, err)
	if n := strange.sent.Load(); counted < n {
		t.Errorf("the far end of mallory's cable counted %d addresses in clear; %d packets were sent there", counted, n)
	}
	s.figure("through start, reload, rotation, kill -9, stop, cut and flap: of %d packets of what is protected, injected or routed past the tunnel, 0 were on the underlay, and %d were counted as dropped; of %d that came in clear 0 were taken, %d counted",
		sent, out.Filter["egress_protected_packets"], strange.sent.Load(), out.Filter["ingress_protected_packets"])
}
