package mka

import (
	"bytes"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// heard notes the MKPDUs of a node from now on.
func (w *world) heard(node int) *[]mkpdu.PDU {
	var all []mkpdu.PDU
	w.tap = func(from int, frame []byte) []byte {
		var d mkpdu.PDU
		if err := mkpdu.Parse(bytes.Clone(frame), &d); err != nil {
			w.t.Fatal(err)
		}
		if from == node {
			all = append(all, d)
		}
		return frame
	}
	return &all
}

// TestSuspensionSays: what a key server with a SAK on its way says when it goes.
func TestSuspensionSays(t *testing.T) {
	w := newWorld(t, 2, 3)
	w.start(0, testKey(1))
	w.start(1, testKey(1))
	w.until("secured", 5*time.Second, w.secured)
	w.nodes[1].fail = func(c sa.Change) error {
		if c.Kind == sa.InstallRx {
			return errSecY
		}
		return nil
	}
	for i := range w.nodes {
		w.setKeys(i, testKey(2), testKey(1))
	}
	w.run(time.Second)
	said := w.heard(0)
	w.step(0, Event{Kind: Suspend})
	w.run(2 * time.Second)
	ckns := map[string]int{}
	for _, d := range *said {
		ckns[string(d.CKN)]++
		if !d.HasXPN || d.XPN.Suspension != 110 || d.HasDistributed || !d.HasUse && bytes.Equal(d.CKN, testKey(1).CKN) {
			t.Errorf("%+v", d)
		}
	}
	if len(ckns) != 2 || len(*said) > 4 || w.nodes[0].up {
		t.Errorf("%d MKPDUs, by CKN %v; up %v", len(*said), ckns, w.nodes[0].up)
	}
}

// TestXPNSetGoesTo: an XPN set goes to who speaks it, and to nobody else but
// with an XPN suite.
func TestXPNSetGoesTo(t *testing.T) {
	for _, c := range []struct {
		name   string
		suite  sa.Suite
		hostap bool
		want   bool
	}{
		{"linkseal", sa.GCMAES256, false, true},
		{"wpa_supplicant", sa.GCMAES256, true, false},
		{"linkseal, XPN", sa.GCMAESXPN256, false, true},
	} {
		w := newWorld(t, 2, 3)
		for _, n := range w.nodes {
			n.cfg.Suite = c.suite
		}
		w.start(0, testKey(1))
		if c.hostap {
			w.startHostap(1, testKey(1))
		} else {
			w.start(1, testKey(1))
		}
		w.until("secured", 10*time.Second, w.secured)
		w.run(10 * time.Second)
		said := w.heard(0)
		w.run(5 * time.Second)
		for _, d := range *said {
			if d.HasXPN != c.want || d.XPN.Suspension != 0 {
				t.Errorf("%s: XPN set %v, suspension %d s", c.name, d.HasXPN, d.XPN.Suspension)
			}
		}
		if len(*said) == 0 {
			t.Errorf("%s: silence", c.name)
		}
	}
}

// TestSuspensionGranted: the key server says for how much longer, and no more
// when the member is back.
func TestSuspensionGranted(t *testing.T) {
	w := newWorld(t, 2, 3)
	w.start(0, testKey(1))
	w.start(1, testKey(1))
	w.until("secured", 5*time.Second, w.secured)
	w.step(1, Event{Kind: Suspend})
	said := w.heard(0)
	w.run(50 * time.Second)
	last := uint8(111)
	for _, d := range *said {
		if s := d.XPN.Suspension; s > last || s < 60 {
			t.Errorf("%d s after %d s", s, last)
		}
		last = d.XPN.Suspension
	}
	if last > 62 {
		t.Errorf("%d s at the end", last)
	}
	before := w.nodes[0].e.counters.SAKsDistributed
	w.start(1, testKey(1))
	w.until("a fresh SAK", time.Second, func() bool { return w.nodes[0].e.counters.SAKsDistributed > before })
	if d := (*said)[len(*said)-1]; d.XPN.Suspension != 0 || !d.HasXPN {
		t.Errorf("%+v", d.XPN)
	}
}
