package rollover

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// However far apart the ends change, whoever they are and however old the
// session is, there is a session at all times, and in the end it is under the
// new PSK. Traffic is taken to flow, and no handshake to be lost.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := func(name string, from, to int) time.Duration {
			return time.Duration(rapid.IntRange(from*10, to*10).Draw(t, name)) * tick
		}
		w := &world{
			rng:    rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2)),
			rtt:    time.Duration(rapid.SampledFrom([]int{0, 1, 20, 80}).Draw(t, "rtt")) * time.Millisecond,
			closed: rapid.Bool().Draw(t, "second port closed"),
		}
		apart := seconds("apart", 0, 50)
		if rapid.Bool().Draw(t, "far apart") {
			apart = seconds("far", 50, 600)
		}
		changes := []time.Duration{10 * s, 10*s + apart}
		if rapid.Bool().Draw(t, "the other first") {
			changes[0], changes[1] = changes[1], changes[0]
		}
		// Of an old PSK that is retired at the change its end keeps what carries.
		keys := rapid.SampledFrom([]func(bool) Keys{oldNew, func(changed bool) Keys {
			if changed {
				return Keys{Usable: []string{"new"}, Lapsed: []string{"old"}}
			}
			return Keys{Usable: []string{"old"}}
		}}).Draw(t, "keychain")
		for i := range w.ends {
			e := linkseal(string(rune('A'+i)), i == 0, rapid.Bool().Draw(t, "forced"), changes[i])
			e.keys, e.poll = keys, time.Duration(rapid.IntRange(1, 3).Draw(t, "poll"))*tick
			w.ends[i] = e
		}
		if rapid.IntRange(0, 3).Draw(t, "with wg alone") == 0 {
			// One that is long before us has nothing in common with us.
			w.ends[1] = plain("B", max(changes[1], changes[0]-50*s))
		}
		w.ends[0].other, w.ends[1].other, w.ends[1].phase = w.ends[1], w.ends[0], tick/2
		w.session(w.ends[rapid.IntRange(0, 1).Draw(t, "initiator")], max(tick, seconds("age", 0, 119)), "old")
		w.run(10*s + apart + 400*s)
		if len(w.lost) > 0 {
			t.Fatalf("lost: %q", w.lost)
		}
		for _, e := range w.ends {
			if !e.have || e.under != "new" {
				t.Fatalf("%s ends with a session (%v) under %q", e.name, e.have, e.under)
			}
			if e.link == nil {
				continue
			}
			if p, _ := e.link.Phase(); p != Settled || e.second != Closed {
				t.Fatalf("%s is %s, its second device %s", e.name, p, e.second)
			}
			if c, ok := e.link.Carried(); !ok || c != "new" {
				t.Fatalf("%s takes its session to be under %q", e.name, c)
			}
		}
	})
}

// With no session to begin with, as after kill -9, the ends meet whatever PSKs
// they have, if they have one in common.
func TestMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3)), rtt: 20 * time.Millisecond}
		names := []string{"a", "b", "c", "d"}
		common := rapid.SampledFrom(names).Draw(t, "common")
		for i := range w.ends {
			usable := []string{common}
			for _, n := range rapid.Permutation(names).Draw(t, "order")[:rapid.IntRange(0, 2).Draw(t, "more")] {
				if n != common {
					usable = append(usable, n)
				}
			}
			usable = rapid.Permutation(usable).Draw(t, "preference")
			e := linkseal(string(rune('A'+i)), i == 0, rapid.Bool().Draw(t, "forced"), time.Duration(rapid.IntRange(0, 300).Draw(t, "start"))*tick)
			e.keys = func(changed bool) Keys {
				if !changed {
					return Keys{}
				}
				return Keys{Usable: usable}
			}
			w.ends[i] = e
		}
		w.ends[0].other, w.ends[1].other, w.ends[1].phase = w.ends[1], w.ends[0], tick/2
		w.run(240 * s)
		for _, e := range w.ends {
			if !e.have {
				t.Fatalf("%s has no session after 240 s, with %q", e.name, e.keys(true).Usable)
			}
		}
	})
}
