package mka

import (
	"fmt"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// secure starts n nodes on key 1 and waits until one SAK is left, then
// watches: from here on no instant may lose a frame.
func secure(t testing.TB, n int, seed uint64, change func(*world)) *world {
	w := newWorld(t, n, seed)
	w.jitter = 3 * time.Millisecond
	if change != nil {
		change(w)
	}
	for i := range n {
		w.start(i, testKey(1))
	}
	w.until("secured on key 1", 20*time.Second, w.on(testKey(1)))
	for i := range n {
		w.watch = append(w.watch, i)
	}
	return w
}

// TestRolloverLosesNothing edits every end's keychain, in every order and
// with short and long times between, in two styles: the new key beside the
// old one, and the old one replaced by the new one in one edit.
func TestRolloverLosesNothing(t *testing.T) {
	orders := [][]int{{0, 1}, {1, 0}, {0, 1, 2}, {2, 1, 0}, {1, 0, 2}}
	gaps := []time.Duration{0, 700 * time.Microsecond, 50 * time.Millisecond, 900 * time.Millisecond, 4 * time.Second, 31 * time.Second}
	styles := map[string][][]Key{
		"add":          {{testKey(2), testKey(1)}},
		"replace":      {{testKey(2)}},
		"add, remove":  {{testKey(2), testKey(1)}, {testKey(2)}},
		"fallback too": {{testKey(2), testKey(1), testKey(3)}, {testKey(2), testKey(3)}},
	}
	for style, edits := range styles {
		for _, order := range orders {
			for _, gap := range gaps {
				t.Run(fmt.Sprintf("%s/%v/%v", style, order, gap), func(t *testing.T) {
					w := secure(t, len(order), uint64(gap), nil)
					for _, keys := range edits {
						for _, i := range order {
							w.setKeys(i, keys...)
							w.run(gap)
						}
					}
					took := w.until("on key 2, old SAs gone", 12*time.Second, w.on(testKey(2)))
					w.run(10 * time.Second)
					if !w.on(testKey(2))() {
						t.Error("left key 2\n", w.dump())
					}
					if took > 6*time.Second {
						t.Errorf("the rollover took %v after the last edit", took)
					}
				})
			}
		}
	}
}

// TestRolloverOnBadWire loses MKPDUs, which may cost time and nothing else.
func TestRolloverOnBadWire(t *testing.T) {
	for seed := range uint64(150) {
		n := 2 + int(seed%2)
		w := secure(t, n, seed, func(w *world) { w.dup, w.jitter = 0.2, 400*time.Millisecond })
		w.loss = 0.15
		for k := range n {
			w.setKeys((k+int(seed))%n, testKey(2), testKey(1))
			w.run(time.Duration(w.rng.Int64N(int64(3 * time.Second))))
		}
		w.until("on key 2", 2*time.Minute, w.on(testKey(2)))
	}
}

// fresh tells whether all encode with one SAK that is not old, under key k.
func (w *world) fresh(k Key, old sa.KeyID) func() bool {
	on := w.on(k)
	return func() bool {
		if !on() {
			return false
		}
		for _, n := range w.nodes {
			if tx, _ := n.secy.encodesWith(); tx.Key == old {
				return false
			}
		}
		return true
	}
}

// TestRestartLosesNothing kills processes, in each role and all at once, and
// starts them again within the peers' life time.
func TestRestartLosesNothing(t *testing.T) {
	sets := [][]int{{0}, {1}, {0, 1}, {1, 0}, {2}, {0, 2}, {2, 1, 0}}
	for _, n := range []int{2, 3} {
		for _, set := range sets {
			for _, down := range []time.Duration{0, 200 * time.Millisecond, 2 * time.Second, 5 * time.Second} {
				t.Run(fmt.Sprintf("%d/%v/%v", n, set, down), func(t *testing.T) {
					for _, i := range set {
						if i >= n {
							return
						}
					}
					w := secure(t, n, uint64(down), nil)
					old, _ := w.nodes[0].secy.encodesWith()
					for _, i := range set {
						w.kill(i)
						w.run(down / time.Duration(2*len(set)))
					}
					w.run(down / 2)
					for _, i := range set {
						w.start(i, testKey(1))
						w.run(down / 20)
					}
					took := w.until("a fresh SAK, the old one gone", 10*time.Second, w.fresh(testKey(1), old.Key))
					if took > 5*time.Second {
						t.Errorf("took %v", took)
					}
				})
			}
		}
	}
}

// TestRestartInRollover kills and starts a process at every moment of a
// rollover.
func TestRestartInRollover(t *testing.T) {
	for seed := range uint64(300) {
		n := 2 + int(seed%2)
		w := secure(t, n, seed, nil)
		victim := int(seed/2) % n
		keys := []Key{testKey(2), testKey(1)}
		for i := range n {
			w.setKeys(i, keys...)
			if i != victim || seed%3 == 0 {
				w.run(time.Duration(w.rng.Int64N(int64(20 * time.Millisecond))))
			}
		}
		w.run(time.Duration(w.rng.Int64N(int64(15 * time.Millisecond))))
		w.kill(victim)
		w.run(time.Duration(w.rng.Int64N(int64(4 * time.Second))))
		w.start(victim, keys...)
		w.until("on key 2", 20*time.Second, w.on(testKey(2)))
	}
}

// TestRekeyLosesNothing: periodic, before the PNs end (of one who sends and
// of one who only receives), and many in a row.
func TestRekeyLosesNothing(t *testing.T) {
	for n := 2; n <= 3; n++ {
		w := secure(t, n, 1, func(w *world) {
			for _, n := range w.nodes {
				n.cfg.Rekey = 10 * time.Second
			}
		})
		first := w.nodes[0].e.State().Counters.SAKsDistributed
		w.run(2 * time.Minute)
		if got := w.nodes[0].e.State().Counters.SAKsDistributed - first; got < 9 || got > 13 {
			t.Errorf("%d rekeys in two minutes at one per 10 s", got)
		}
	}
	for sender := range 3 {
		w := secure(t, 3, 1, nil)
		old, _ := w.nodes[sender].secy.encodesWith()
		for i := range 3 {
			w.poll(i)
		}
		w.run(500 * time.Millisecond)
		w.burn(sender, 0xC0000001)
		for i := range 3 {
			w.poll(i)
		}
		w.until("a fresh SAK", 6*time.Second, w.fresh(testKey(1), old.Key))
	}
	// One poll before the threshold is enough when the rate says so.
	w := secure(t, 2, 1, nil)
	old, _ := w.nodes[1].secy.encodesWith()
	for k := range 4 {
		w.burn(1, uint64(0x40000000+k*0x10000000))
		w.poll(0)
		w.poll(1)
		w.run(500 * time.Millisecond)
	}
	w.until("a fresh SAK", 6*time.Second, w.fresh(testKey(1), old.Key))
}

// burn lets a node transmit until its next PN is pn; all others receive it.
func (w *world) burn(i int, pn uint64) {
	n := w.nodes[i]
	tx, _ := n.secy.encodesWith()
	tx.PN = pn
	n.secy.tx[tx.AN] = tx
	for _, o := range w.nodes {
		if rx, ok := o.secy.rx[n.cfg.SCI][tx.AN]; ok && rx.Key == tx.Key {
			rx.PN = pn
			o.secy.rx[n.cfg.SCI][tx.AN] = rx
		}
	}
}

// poll gives a node its SecY's packet numbers.
func (w *world) poll(i int) {
	w.step(i, Event{Kind: PacketNumbers, Table: w.nodes[i].secy.table()})
}

// TestMemberJoinsAndLeaves: the others lose nothing.
func TestMemberJoinsAndLeaves(t *testing.T) {
	for seed := range uint64(30) {
		w := newWorld(t, 3, seed)
		w.jitter = 5 * time.Millisecond
		third := int(seed % 3)
		var pair []int
		for i := range 3 {
			if i != third {
				w.start(i, testKey(1))
				pair = append(pair, i)
			}
		}
		w.run(20 * time.Second)
		w.watch = pair
		w.start(third, testKey(1))
		took := w.until("three on one SAK", 10*time.Second, w.on(testKey(1)))
		old, _ := w.nodes[pair[0]].secy.encodesWith()
		w.kill(third)
		w.run(20 * time.Second)
		for _, i := range pair {
			if tx, _ := w.nodes[i].secy.encodesWith(); tx.Key == old.Key {
				t.Errorf("seed %d: n%d still encodes with the SAK that the member who left knows", seed, i)
			}
		}
		if took > 5*time.Second {
			t.Errorf("seed %d: joining took %v", seed, took)
		}
	}
}
