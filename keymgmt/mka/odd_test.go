package mka

import (
	"errors"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// TestXPNJoins has a third member come at every moment of a first SAK and of a
// rekey, over a wire that reorders. A SAK that was made without it is not its
// own: it would take another's SSCI, and so use its nonces (world.checkNonces).
func TestXPNJoins(t *testing.T) {
	for _, at := range []time.Duration{0, 9990 * time.Millisecond} {
		for seed := range uint64(100) {
			w := newWorld(t, 3, seed)
			for _, n := range w.nodes {
				n.cfg.Suite, n.cfg.Rekey = sa.GCMAESXPN256, 10*time.Second
			}
			w.jitter = 10 * time.Millisecond
			w.start(0, testKey(1))
			w.start(1, testKey(1))
			w.run(at + time.Duration(seed)*time.Millisecond)
			w.start(2, testKey(1))
			w.until("all secured", 10*time.Second, w.secured)
		}
	}
}

// TestServerBeginsAtANInUse: a key server that reboots begins again at the AN
// that the others encode with, as hostap does, before they have let go of it.
func TestServerBeginsAtANInUse(t *testing.T) {
	for _, members := range []int{2, 3} {
		w := newWorld(t, members, 3)
		w.loose = true
		keys := []Key{testKey(1)}
		for i := range members {
			w.start(i, keys...)
		}
		w.run(10 * time.Second)
		w.reboot(0)
		w.nodes[0].saved = Saved{}
		old := w.nodes[1].e.encoding
		w.tap = func(from int, f []byte) []byte {
			if from != 0 {
				return f
			}
			return edit(f, keys, func(d *mkpdu.PDU) {
				d.Distributed.AN = uint8(old)
				d.Use.Latest.AN, d.Use.Old = uint8(old), mkpdu.KeyUse{}
			})
		}
		w.run(time.Second)
		w.start(0, keys...)
		key := func(n *node) sa.KeyID { tx, _ := n.secy.encodesWith(); return tx.Key }
		w.until("all to encode with the key server's SAK", time.Minute, func() bool {
			for _, n := range w.nodes {
				if key(n) != key(w.nodes[0]) || key(n).IsZero() {
					return false
				}
			}
			return true
		})
	}
}

// TestServerNeverTransmits: hostap's CP machine can stop before it transmits.
// The follower does not wait for ever: as a new member it asks for another SAK.
func TestServerNeverTransmits(t *testing.T) {
	w := newWorld(t, 2, 3)
	w.loose = true
	keys := []Key{testKey(1)}
	stuck := true
	w.tap = func(from int, f []byte) []byte {
		if from != 0 || !stuck {
			return f
		}
		return edit(f, keys, func(d *mkpdu.PDU) { d.Use.Latest.Tx, d.Use.Old.Tx = false, false })
	}
	w.start(0, keys...)
	w.start(1, keys...)
	w.run(10 * time.Second)
	before := w.nodes[0].e.counters.SAKsDistributed
	w.until("another SAK", 20*time.Second, func() bool { return w.nodes[0].e.counters.SAKsDistributed > before })
	stuck = false
	w.until("secured", 20*time.Second, w.secured)
	if n := w.nodes[0].e.counters.SAKsDistributed; n > 5 {
		t.Errorf("%d SAKs", n)
	}
}

// TestSuspensionEnds: a peer that says in every MKPDU that it suspends MKA does
// so for MaxSuspension in all; a SAK that runs out of PNs is replaced then.
func TestSuspensionEnds(t *testing.T) {
	w := newWorld(t, 2, 3)
	w.loose = true
	keys := []Key{testKey(1)}
	says := uint8(0)
	for _, n := range w.nodes {
		n.cfg.Suite = sa.GCMAESXPN256
	}
	w.tap = func(from int, f []byte) []byte {
		if from != 1 {
			return f
		}
		return edit(f, keys, func(d *mkpdu.PDU) { d.HasXPN, d.XPN.Suspension = true, says })
	}
	w.start(0, keys...)
	w.start(1, keys...)
	w.until("secured", 5*time.Second, w.secured)
	exhaust := func() {
		table := w.nodes[0].secy.table()
		for i := range table.Tx {
			table.Tx[i].PN = exhausted(sa.GCMAESXPN256)
		}
		w.step(0, Event{Kind: PacketNumbers, Table: table})
	}
	saks := func() uint64 { return w.nodes[0].e.counters.SAKsDistributed }
	for range 2 { // the second time after it has said that it is over
		says = 255
		w.run(5 * time.Second)
		before := saks()
		exhaust()
		w.run(100 * time.Second)
		if saks() != before {
			t.Errorf("a SAK while MKA is suspended")
		}
		w.run(MaxSuspension - 100*time.Second)
		exhaust()
		w.run(5 * time.Second)
		if saks() == before {
			t.Errorf("no SAK %v after the suspension began", MaxSuspension)
		}
		says = 0
		w.run(10 * time.Second)
	}
}

// TestPeerReportsHighPN: a peer that always says that its PNs are at their end
// is believed at most once a life time.
func TestPeerReportsHighPN(t *testing.T) {
	w := newWorld(t, 2, 3)
	w.loose = true
	keys := []Key{testKey(1)}
	w.tap = func(from int, f []byte) []byte {
		if from != 1 {
			return f
		}
		return edit(f, keys, func(d *mkpdu.PDU) { d.Use.Latest.LowestPN = 0xffffffff })
	}
	w.start(0, keys...)
	w.start(1, keys...)
	w.run(time.Minute)
	if n := w.nodes[0].e.counters.SAKsDistributed; n < 2 || n > 11 {
		t.Errorf("%d SAKs in a minute", n)
	}
}

// TestChangesFail: a SecY that refuses for ever fills no log, and a port that
// cannot receive is not called secured.
func TestChangesFail(t *testing.T) {
	w := newWorld(t, 2, 5)
	w.loose = true
	w.nodes[1].fail = func(c sa.Change) error {
		if c.Kind == sa.InstallRx {
			return errors.New("no memory")
		}
		return nil
	}
	w.start(0, testKey(1))
	w.start(1, testKey(1))
	w.run(10 * time.Minute)
	told := 0
	for _, r := range w.nodes[1].told {
		if r.Kind == ChangeFailed {
			told++
		}
	}
	if told < 1 || told > 11 || w.nodes[1].port != sa.Unsecured {
		t.Errorf("%d reports in ten minutes, port %v", told, w.nodes[1].port)
	}
}
