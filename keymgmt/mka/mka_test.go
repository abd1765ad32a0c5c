package mka

import (
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

func logged(t *testing.T, w *world) *world {
	w.log = func(s string) { t.Log(s) }
	return w
}

func TestBringUp(t *testing.T) {
	w := logged(t, newWorld(t, 2, 1))
	w.start(0, testKey(1))
	w.start(1, testKey(1))
	took := w.until("secured", time.Second, w.secured)
	t.Logf("secured in %v, %d MKPDUs", took, w.sent)
	if took > 50*time.Millisecond {
		t.Errorf("bring-up took %v on a wire of 1 ms", took)
	}
}

func TestThreeMembers(t *testing.T) {
	w := logged(t, newWorld(t, 3, 1))
	for i := range 3 {
		w.start(i, testKey(1))
	}
	w.until("secured", 5*time.Second, w.secured)
	w.until("one SAK", 20*time.Second, w.on(testKey(1)))
}

func TestRollover(t *testing.T) {
	for _, n := range []int{2, 3} {
		w := logged(t, newWorld(t, n, 1))
		for i := range n {
			w.start(i, testKey(1))
		}
		w.until("on 1", 10*time.Second, w.on(testKey(1)))
		for i := range n {
			w.setKeys(i, testKey(2), testKey(1))
			w.run(2 * time.Second)
		}
		w.until("on 2", 20*time.Second, w.on(testKey(2)))
		for i := range n {
			w.setKeys(i, testKey(2))
		}
		w.run(20 * time.Second)
		if !w.on(testKey(2))() {
			t.Error(w.dump())
		}
	}
}

// TestTombs: the memory of MIs that were live is not pushed out by potential
// peers, and is bounded.
func TestTombs(t *testing.T) {
	p := &participant{peers: []peer{{mi: sa.MI{1}, mn: 7, live: true}}}
	p.bury(0, true, 0, DefaultLife)
	for i := range 200 {
		p.peers = append(p.peers, peer{mi: sa.MI{2, byte(i)}})
		p.bury(0, false, time.Second, DefaultLife)
	}
	if g := p.tomb(&sa.MI{1}, 2*time.Second); g == nil || g.mn != 7 || !g.replaced {
		t.Errorf("forgotten: %+v", g)
	}
	if g := p.tomb(&sa.MI{1}, 2*DefaultLife); g != nil {
		t.Error("remembered for ever")
	}
	for i := range 200 {
		p.peers = append(p.peers, peer{mi: sa.MI{3, byte(i)}, live: true})
		p.bury(0, false, time.Second, DefaultLife)
	}
	if len(p.tombs) != maxPeers {
		t.Errorf("%d tombs", len(p.tombs))
	}
}
