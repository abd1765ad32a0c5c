package course

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pskPlan is plan for PSKs that start a minute after they are written.
func pskPlan() Plan {
	p := plan()
	p.PSK, p.Lead = true, time.Minute
	return p
}

func newTunnels(t *testing.T, names ...string) *world {
	w := newWorld(t, names...)
	w.psk = true
	for _, l := range w.ports {
		l.counters = map[string]uint64{"tx_dropped": 7, "rx_errors": 2, "rx_packets": 100}
	}
	return w
}

// A PSK is written before it starts; then the tunnels' members move one by one,
// and the old PSK goes after the hold.
func TestPSKCourse(t *testing.T) {
	w := newTunnels(t, "hub1", "hub2")
	w.ours, w.theirs = 2*time.Second, 30*time.Second
	c := Begin(w.now, pskPlan())
	lost := false
	w.drive(c, func(Do) bool {
		if l := w.ports[0]; !lost && l.old != "" {
			lost = true
			l.counters["tx_dropped"] += 3
			w.ports[1].counters["rx_errors"] = 1 // its interface was made anew
		}
		return false
	})
	want := []string{"claimed", "written", "read_back", "in_keychain", "hub1 peer_live", "hub2 peer_live",
		"hub1 moved", "hub1 settled", "hub2 moved", "hub2 settled", "done", "retired"}
	if d := cmp.Diff(want, w.phases()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{newID}, w.ids()); d != "" {
		t.Error(d)
	}
	for _, e := range w.events {
		if e.PSK != newID || e.CKN != "" || e.Port != "" {
			t.Errorf("%+v", e)
		}
		if strings.Contains(e.Detail+e.Error, "pair") || strings.Contains(e.Detail+e.Error, "CKN") {
			t.Errorf("of a PSK it is said: %s%s", e.Detail, e.Error)
		}
	}
	if o := c.Order; !o.NotBefore.Equal(t0.Add(time.Minute)) || !o.PSK || c.CKN != "" {
		t.Errorf("%+v", o)
	}
	done := w.events[10]
	if d := cmp.Diff(map[string]uint64{"rx_dropped": 0, "rx_errors": 1, "tx_dropped": 3, "tx_errors": 0}, done.Lost); d != "" || !strings.Contains(done.Detail, "the old PSKs are retired at") {
		t.Errorf("%s, %+v", d, done)
	}
	if moved := w.events[4]; moved.ElapsedMS < time.Minute.Milliseconds() || moved.ElapsedMS > time.Minute.Milliseconds()+2000 {
		t.Errorf("the first handshake after %d ms", moved.ElapsedMS)
	}
	if s, err := Decode(w.journal); err != nil || !s.Ended() || s.PSK() != newID {
		t.Errorf("journal %s, %v", w.journal, err)
	}
}

// The other end gets it an hour late, or never while one tunnel is down: what
// is waited for is told once each.
func TestPSKLate(t *testing.T) {
	w := newTunnels(t, "hub1", "hub2")
	w.theirs = time.Hour
	w.ports[1].up = false
	c := Begin(w.now, pskPlan())
	w.drive(c, func(Do) bool { return w.now.Sub(t0) > 4*time.Hour })
	var told []string
	for _, e := range w.events {
		if e.Phase == Waiting {
			told = append(told, e.Tunnel+": "+e.Detail)
		}
	}
	want := []string{
		"hub1: " + tunnelWaits[InKeychain],
		"hub2: it is not live now; the old PSKs are kept until it is, and has moved",
		"hub2: the old PSKs are kept: the tunnel is not on the new PSK",
	}
	if d := cmp.Diff(want, told); d != "" {
		t.Error(d)
	}
	if c.Outcome != Done || !strings.Contains(w.events[len(w.events)-2].Detail, "until the tunnels without a peer have moved too") || len(w.ids()) != 2 {
		t.Errorf("%s, %+v, left %q", c.Outcome, w.events[len(w.events)-2], w.ids())
	}
	w.ports[1].up = true
	w.drive(c, nil)
	if d := cmp.Diff([]string{newID}, w.ids()); d != "" {
		t.Error(d)
	}
}

// One that was to start meanwhile is not preferred to the new one.
func TestPSKAfterOthers(t *testing.T) {
	w := newTunnels(t, "hub1")
	w.ports[0].counters = nil // transport mode
	soon := Pair{ID: "soon", Owner: "us", Whole: true, Created: t0}
	soon.NotBefore = t0.Add(time.Minute)
	w.add(soon)
	c := Begin(w.now, pskPlan())
	w.drive(c, nil)
	if !c.Order.NotBefore.Equal(t0.Add(time.Minute + time.Second)) {
		t.Errorf("starts at %v", c.Order.NotBefore)
	}
	if d := cmp.Diff([]string{newID}, w.ids()); d != "" {
		t.Error(d)
	}
	if i := slices.IndexFunc(w.events, func(e Event) bool { return e.Phase == Done }); i < 0 || w.events[i].Lost != nil {
		t.Errorf("%+v", w.events)
	}
	if o := Owned("hub1", []Pair{{ID: "x", PSK: true, Owner: "them", Whole: true}}, "us"); o == nil || !strings.Contains(o.Error(), "its newest PSK x carries") || !strings.Contains(o.Error(), "writes a PSK with") {
		t.Errorf("%v", o)
	}
}
