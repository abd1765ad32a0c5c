package mka

import (
	"errors"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// TestEncodingSwitchedOff has somebody switch the encoding SA off in the SecY,
// as `ip macsec set ... tx sa N off` does: it is switched on again, or
// a fresh SAK is agreed if that fails.
func TestEncodingSwitchedOff(t *testing.T) {
	for i := range 2 {
		w := newWorld(t, 2, uint64(i+1))
		w.start(0, testKey(1))
		w.start(1, testKey(1))
		w.until("on 1", 10*time.Second, w.on(testKey(1)))
		n := w.nodes[i]
		before, _ := n.secy.encodesWith()
		off := func() {
			table := n.secy.table()
			n.secy.encoding, table.Encoding = -1, sa.NoAN
			w.step(i, Event{Kind: PacketNumbers, Table: table})
		}
		off()
		if tx, ok := n.secy.encodesWith(); !ok || tx.Key != before.Key {
			t.Errorf("n%d encodes with %v %v, not with %v", i, ok, tx.Key, before.Key)
		}
		n.fail = func(c sa.Change) error {
			n.fail = nil
			return errors.New("exhausted")
		}
		n.secy.gutted = true // nothing passes until both have the fresh one
		off()
		w.until("a fresh SAK", 20*time.Second, func() bool {
			tx, _ := n.secy.encodesWith()
			return tx.Key != before.Key && w.on(testKey(1))()
		})
	}
}
