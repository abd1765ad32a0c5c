package tunnels

import (
	"testing"
	"time"

	"github.com/linkseal/linkseal/tests/lab"
)

// Killed ends west's daemon by kill -9, under traffic, and starts it again. The
// kernel's tunnel goes on and is adopted: nothing is lost. One in the process is
// away as long as that; then nothing more is lost.
func (s Suite) Killed(t *testing.T) {
	p := s.pair(t, lab.Options{}, lab.Tunnel{})
	p.start(t)
	const every = 5 * time.Millisecond
	var away time.Duration
	var lost, most uint64
	for range times(s, 10, 1) {
		x := p.traffic(t, 0, every)
		p.flows(t, x, 20)
		began := time.Now()
		check(t, p.west.Kill())
		if s.Dataplane != "userspace" {
			p.flows(t, x, 100)
		}
		check(t, p.west.Start())
		p.secured(t)
		p.flows(t, x, 20)
		took := time.Since(began)
		away = max(away, took)
		c := x.Stop()
		lost += c.Lost()
		if s.Dataplane == "userspace" {
			most += uint64(took / every)
		}
		y := p.traffic(t, 0, every)
		p.flows(t, y, 100)
		if c := y.Stop(); c.Lost() > 0 {
			t.Errorf("after kill -9, and secured again: %v", c)
		}
	}
	if lost > most {
		t.Errorf("kill -9: %d datagrams lost; %d were sent while it was away", lost, most)
	}
	p.none(t, "kill -9")
	s.figure("kill -9 and start under traffic: %d datagrams lost, at most %v until all was well", lost, away.Round(10*time.Millisecond))
}
