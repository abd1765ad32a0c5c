package mka

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

var (
	seedFlag = flag.Int64("mka.seed", -1, "run TestRandomWorlds with this seed alone, logged")
	soak     = os.Getenv("LINKSEAL_SOAK") != ""
)

// convergence is how long a world may take, once its wire is whole, all nodes
// run and all keychains agree, until everybody encodes with one SAK of the
// preferred CKN and nothing else is installed. It is the life time in which
// the dead are let go, SAKs on two ANs that fail for the life time each (members
// use them in a CA that the key server is not in), and the retirement of the
// SAKs before.
const convergence = 45 * time.Second

// TestRandomWorlds lets everything happen to 2 to 4 nodes at once: loss,
// duplicates, reordering, one-way cuts, kills, restarts, reboots, keychains
// edited at any end in any order, SecYs that fail, PNs that jump, MIs that
// collide, suspensions, by those who go and by those who only say so, replays of
// whatever was ever sent. The invariants of world.check hold at every step, an
// early Tick never does anything, and when the storm is over the world converges.
func TestRandomWorlds(t *testing.T) {
	first, n := uint64(0), uint64(1_400)
	if soak {
		n = 100_000
	}
	if *seedFlag >= 0 {
		first, n = uint64(*seedFlag), 1
	}
	var worst time.Duration
	for seed := first; seed < first+n; seed++ {
		if took := randomWorld(t, seed); took > worst {
			worst = took
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d worlds; the slowest converged in %v after its storm", n, worst)
}

// seeded names the seed with every failure.
type seeded struct {
	testing.TB
	seed uint64
}

func (s seeded) Fatalf(format string, a ...any) {
	s.TB.Helper()
	s.TB.Fatalf("seed %d: "+format, append([]any{s.seed}, a...)...)
}

func randomWorld(t *testing.T, seed uint64) time.Duration {
	rng := rand.New(rand.NewPCG(seed, 77))
	size := 2 + rng.IntN(3)
	w := newWorld(seeded{t, seed}, size, seed)
	if *seedFlag >= 0 {
		w.log = func(s string) { t.Log(s) }
	}
	w.nosy = 0.05
	w.loss = []float64{0, 0.05, 0.3}[rng.IntN(3)]
	w.dup = []float64{0, 0.2}[rng.IntN(2)]
	w.jitter = []time.Duration{0, 5 * time.Millisecond, 700 * time.Millisecond}[rng.IntN(3)]
	w.slow = []time.Duration{0, 0, 50 * time.Millisecond, 3 * time.Second}[rng.IntN(4)]
	suite := sa.Suites()[rng.IntN(4)]
	priority := rng.IntN(2) == 0
	for i, n := range w.nodes {
		n.cfg.Suite = suite
		if priority {
			n.cfg.Priority = uint8(rng.IntN(3) * 16)
		}
		if rng.IntN(4) == 0 {
			n.cfg.Rekey = time.Duration(10+rng.IntN(20)) * time.Second
		}
		n.collide = size == 2 && rng.IntN(4) == 0
		w.start(i, randomKeys(rng)...)
	}
	storm(w, rng)
	calm(w)
	return w.until("converged", convergence, w.on(testKey(1)))
}

// randomKeys is one to three of the keys, in any order.
func randomKeys(rng *rand.Rand) []Key {
	var keys []Key
	for _, i := range rng.Perm(3)[:1+rng.IntN(3)] {
		keys = append(keys, testKey(i+1))
	}
	return keys
}

var errSecY = errors.New("the SecY said no")

func storm(w *world, rng *rand.Rand) {
	var taped [][]byte
	suspending := -1
	all := []Key{testKey(1), testKey(2), testKey(3)}
	w.tap = func(from int, frame []byte) []byte {
		if from == suspending {
			frame = edit(frame, all, func(d *mkpdu.PDU) { d.HasXPN, d.XPN.Suspension = true, 5 })
		}
		if len(taped) < 2000 {
			taped = append(taped, bytes.Clone(frame))
		}
		return frame
	}
	for range 12 + rng.IntN(20) {
		w.run(time.Duration(rng.Int64N(int64(4 * time.Second))))
		if rng.IntN(3) == 0 {
			w.run(time.Duration(rng.Int64N(int64(20 * time.Second))))
		}
		i, j := rng.IntN(len(w.nodes)), rng.IntN(len(w.nodes))
		n := w.nodes[i]
		switch rng.IntN(13) {
		case 0:
			w.cut[[2]int{i, j}] = true
		case 1, 2:
			clear(w.cut)
		case 3:
			w.kill(i)
		case 4:
			w.reboot(i)
		case 5, 6:
			if !n.up {
				w.start(i, n.keys...)
			}
		case 7, 8:
			w.setKeys(i, randomKeys(rng)...)
		case 9:
			n.fail = nil
			if rng.IntN(2) == 0 {
				n.fail = func(sa.Change) error {
					if rng.IntN(3) == 0 {
						return errSecY
					}
					return nil
				}
			}
		case 10:
			if tx, ok := n.secy.encodesWith(); ok && rng.IntN(2) == 0 {
				w.burn(i, tx.PN+1<<30)
			}
			for k := range w.nodes {
				w.poll(k)
			}
			suspending = -1
			if rng.IntN(3) == 0 {
				suspending = i
			}
		case 12:
			w.step(i, Event{Kind: Suspend})
		case 11:
			for range rng.IntN(40) {
				if len(taped) > 0 {
					w.step(i, Event{Kind: Received, Frame: bytes.Clone(taped[rng.IntN(len(taped))])})
				}
			}
		}
	}
}

// calm ends all trouble; every node has keys 1 and 2, key 1 preferred.
func calm(w *world) {
	w.loss, w.dup, w.jitter, w.slow, w.tap = 0, 0, 0, 0, nil
	clear(w.cut)
	w.run(suspendWithin) // who is about to go is gone
	for i, n := range w.nodes {
		n.fail, n.collide = nil, false
		if !n.up {
			w.start(i, testKey(1), testKey(2))
		} else {
			w.setKeys(i, testKey(1), testKey(2))
		}
	}
	for range 5 {
		for i := range w.nodes {
			w.poll(i)
		}
		w.run(time.Second)
	}
}
