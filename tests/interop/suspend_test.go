package interop

import (
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// away is for how long a stopped daemon does not come back: nearly as long as its
// suspension, or at least much longer than the MKA life time of 6 s.
func away() time.Duration { return times(105*time.Second, 12*time.Second) }

// passes lets time pass, when it is the time that is tested.
func passes(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// TestStopped ends a daemon with SIGTERM, as an upgrade does: it suspends MKA, its
// peer keeps the SAs, and nothing is lost for as long as it is away. When it is
// back, both are on a fresh SAK.
func TestStopped(t *testing.T) {
	t.Parallel()
	type stop struct {
		name, cipher string
		server       bool // it is the key server that stops
	}
	cases := []stop{{"key server", "gcm-aes-256", true}}
	if soak() {
		cases = append(cases, stop{"not key server, XPN", "gcm-aes-xpn-256", false})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newEnds(t, lab.Options{}, lab.Port{Cipher: c.cipher, Priority: wins}, lab.Port{Cipher: c.cipher, Priority: loses})
			old := p.start(t)[0].Tx
			victim, peer := p.west, p.east
			if !c.server {
				victim, peer = peer, victim
			}
			sealed := wires(t, p.both()...)
			before := [2]string{device(t, p.west), device(t, p.east)}
			x := traffic(t, p.west, p.east, 5*time.Millisecond)
			flows(t, x, 50)
			start := time.Now()
			check(t, victim.Stop(t.Context()))
			stop := time.Since(start)
			if !strings.Contains(victim.Log(), "its peers keep the SAs for 1m50s") {
				t.Error("the peer has not confirmed the suspension")
			}
			passes(t, away())
			if s := wait(t, "the peer to answer", func(status.Port) bool { return true }, peer)[0]; s.State != status.Secured || s.Tx.Key != old.Key || !suspended(s) {
				t.Errorf("%s after %v: %+v", peer.Name, away(), s)
			}
			check(t, victim.Start())
			for _, s := range wait(t, "a fresh SAK at both ends", func(s status.Port) bool {
				return lab.Settled(s, p.key.CKN) && s.Tx.Key != old.Key
			}, p.both()...) {
				if suspended(s) {
					t.Errorf("a peer that is back is still suspended: %+v", s)
				}
			}
			flows(t, x, 50)
			lost := x.Stop()
			if lost.Lost() > 0 {
				t.Error(lost)
			}
			if after := [2]string{device(t, p.west), device(t, p.east)}; after != before {
				t.Errorf("the devices were\n%s\nand are\n%s", before, after)
			}
			sealed()
			figure(t, "stopped in %v, MKA suspended, %s, away for %v: %d of %d datagrams lost", stop.Round(time.Millisecond), c.name, away(), lost.Lost(), lost.Sent)
		})
	}
}

// suspended tells whether a peer of the port's has suspended MKA.
func suspended(s status.Port) bool {
	for _, m := range s.Participants {
		for _, q := range m.Peers {
			if q.Suspended {
				return true
			}
		}
	}
	return false
}

// TestSupplicantStays has linkseal killed and back within three seconds, and
// stopped for longer than the life time, with wpa_supplicant at the other end:
// that knows no suspension, and deletes the SC of a peer that has another MI, or
// that it has heard nothing of, before there is a fresh SAK. What is lost is
// printed; the port is secured again each time, and nothing is in clear.
func TestSupplicantStays(t *testing.T) {
	t.Parallel()
	type leave struct {
		name   string
		rounds int
		server bool
		end    func(*lab.Appliance) error
		back   time.Duration
	}
	cases := []leave{{"killed, not key server", times(20, 1), false, (*lab.Appliance).Kill, time.Second}}
	if soak() {
		cases = append(cases, leave{"killed, key server", 20, true, (*lab.Appliance).Kill, time.Second},
			leave{"stopped", 1, true, func(a *lab.Appliance) error { return a.Stop(t.Context()) }, away()})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			port := lab.Port{Priority: loses}
			if c.server {
				port.Priority = wins
			}
			m := newMixed(t, key(t, 16, 16), port)
			p := m.secure(t, c.server)
			sealed := wires(t, m.watched...)
			before := device(t, m.west)
			x := traffic(t, m.west, m.peer.Appliance, 20*time.Millisecond)
			flows(t, x, 50)
			var longest time.Duration
			for range c.rounds {
				old := p.Tx.Key
				check(t, c.end(m.west))
				passes(t, c.back)
				start := time.Now()
				check(t, m.west.Start())
				p = wait(t, "a fresh SAK", func(p status.Port) bool { return lab.Settled(p, m.key.CKN) && p.Tx.Key != old }, m.west)[0]
				flows(t, x, 1)
				longest = max(longest, time.Since(start))
			}
			flows(t, x, 50)
			lost := x.Stop()
			if after := device(t, m.west); after != before {
				t.Errorf("the device was\n%s\nand is\n%s", before, after)
			}
			sealed()
			figure(t, "wpa_supplicant at the other end, linkseal %s %d times, back after %v, secured afresh %v after its start at the most: %d of %d datagrams lost",
				c.name, c.rounds, c.back, longest.Round(time.Millisecond), lost.Lost(), lost.Sent)
		})
	}
}
