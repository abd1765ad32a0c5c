package interop

import (
	"sync"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// moves notes, from a mark on, when an end says its first hello and when each
// end first encodes with another AN than before.
type moves struct {
	mu    sync.Mutex
	who   string // the MAC address whose hello is waited for
	old   uint8
	hello time.Time
	fresh map[string]time.Time
}

func (m *moves) mark(who string, old uint8) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.who, m.old, m.hello, m.fresh = who, old, time.Time{}, map[string]time.Time{}
}

func (m *moves) hear(f lab.Frame) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.who == "":
	case f.EtherType() == 0x888e && f.Source() == m.who && m.hello.IsZero():
		m.hello = f.At
	case f.EtherType() == 0x88e5 && f.AN() != m.old && m.fresh[f.Source()].IsZero():
		m.fresh[f.Source()] = f.At
	}
}

// took is from the hello until both ends encoded afresh.
func (m *moves) took(t *testing.T) time.Duration {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hello.IsZero() || len(m.fresh) != 2 {
		t.Fatalf("on the wire: hello %v, fresh %v", m.hello, m.fresh)
	}
	var last time.Time
	for _, at := range m.fresh {
		if at.After(last) {
			last = at
		}
	}
	return last.Sub(m.hello)
}

// TestKilled ends one end's process with SIGKILL and starts it again under
// traffic: both are on a fresh SAK within a second of its first hello, and the
// kernel, which goes on encrypting, loses nothing.
func TestKilled(t *testing.T) {
	p := newPair(t, lab.Options{}, lab.Port{})
	ports := p.start(t)
	var m moves
	tap, err := lab.Listen(p.west, lab.Device, m.hear)
	check(t, err)
	t.Cleanup(func() { tap.Close() })
	sealed := wires(t, p.both()...)
	x := traffic(t, p.west, p.east, 5*time.Millisecond)
	flows(t, x, 50)
	before := [2]string{device(t, p.west), device(t, p.east)}
	var all []time.Duration
	for round := range times(20, 2) {
		victim := p.both()[(round+1)%2]
		old := ports[0].Tx
		check(t, victim.Kill())
		flows(t, x, 100) // without it
		m.mark(victim.MAC.String(), old.AN)
		check(t, victim.Start())
		ports = wait(t, "a fresh SAK at both ends", func(s status.Port) bool {
			return lab.Settled(s, p.key.CKN) && s.Tx.Key != old.Key
		}, p.both()...)
		if ports[0].Tx.Key != ports[1].Tx.Key {
			t.Fatalf("SAK %s at west, %s at east", ports[0].Tx.Key, ports[1].Tx.Key)
		}
		took := m.took(t)
		all = append(all, took)
		if took > time.Second {
			t.Errorf("%s killed and started: on the fresh SAK %v after its first hello; at most 1 s", victim.Name, took)
		}
	}
	flows(t, x, 50)
	c := x.Stop()
	if c.Lost() > 0 {
		t.Error(c)
	}
	if after := [2]string{device(t, p.west), device(t, p.east)}; after != before {
		t.Errorf("the devices were\n%s\nand are\n%s", before, after)
	}
	nothingToPlan(t, p.both()...)
	sealed()
	figure(t, "killed and restarted %d times, either end: fresh SAK at both after its first hello in %v at the most, median %v; %d of %d datagrams lost",
		len(all), maximum(all), median(all).Round(time.Millisecond), c.Lost(), c.Sent)
}

// Both ends killed and started at once: neither can tell the other who it was.
func TestKilledBoth(t *testing.T) {
	t.Parallel()
	lossless(t, "both ends killed and restarted", func(p *pair, x *lab.Traffic) {
		check(t, p.west.Kill(), p.east.Kill())
		flows(t, x, 100)
		check(t, p.west.Start(), p.east.Start())
	})
}

// Stopped and started again at once: as after a package upgrade.
func TestStoppedAndStarted(t *testing.T) {
	t.Parallel()
	lossless(t, "stopped and started", func(p *pair, _ *lab.Traffic) {
		check(t, p.east.Stop(t.Context()), p.east.Start())
	})
}

// lossless ends daemons of a pair under traffic, and starts them: both ends come to
// a fresh SAK, and nothing is lost.
func lossless(t *testing.T, what string, end func(*pair, *lab.Traffic)) {
	t.Helper()
	p := newPair(t, lab.Options{}, lab.Port{})
	old := p.start(t)[0].Tx
	x := traffic(t, p.west, p.east, 5*time.Millisecond)
	flows(t, x, 50)
	end(p, x)
	wait(t, "a fresh SAK at both ends", func(s status.Port) bool {
		return lab.Settled(s, p.key.CKN) && s.Tx.Key != old.Key
	}, p.both()...)
	flows(t, x, 50)
	c := x.Stop()
	if c.Lost() > 0 {
		t.Error(c)
	}
	figure(t, "%s: %d of %d datagrams lost", what, c.Lost(), c.Sent)
}

func maximum(d []time.Duration) (m time.Duration) {
	for _, x := range d {
		m = max(m, x)
	}
	return m.Round(time.Millisecond)
}
