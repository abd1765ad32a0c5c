package rollover

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// instead is a keychain whose PSK is replaced; the empty one is none.
func instead(was, is string) func(bool) Keys {
	return func(changed bool) Keys {
		if changed {
			return Keys{Usable: []string{is}}
		}
		return Keys{Usable: []string{was}}
	}
}

// What has left the keychain is set for no handshake, whatever the other end does;
// what it carries goes on for as long as its session does. The ends meet under the
// new one; nothing is lost if the second comes while that lasts.
func TestGone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		was := rapid.SampledFrom([]string{"", "old"}).Draw(t, "was")
		apart := time.Duration(rapid.IntRange(0, 4000).Draw(t, "apart")) * tick
		w := &world{rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 4)), rtt: 20 * time.Millisecond}
		late := rapid.IntRange(0, 1).Draw(t, "late")
		for i := range w.ends {
			change := 10 * s
			if i == late {
				change += apart
			}
			w.ends[i] = linkseal(string(rune('A'+i)), i == 0, rapid.Bool().Draw(t, "forced"), change)
			w.ends[i].keys = instead(was, "new")
		}
		w.ends[0].other, w.ends[1].other, w.ends[1].phase = w.ends[1], w.ends[0], tick/2
		age := time.Duration(rapid.IntRange(1, 1090).Draw(t, "age")) * tick
		w.session(w.ends[rapid.IntRange(0, 1).Draw(t, "initiator")], age, was)
		for until := tick; until < 10*s+apart+200*s; until += tick {
			w.run(until)
			for i, e := range w.ends {
				if e.told == 2 && e.psk != "new" {
					t.Fatalf("%v: %s has %q set", w.now, e.name, e.psk)
				}
				// It may be valid before it is sure to be.
				if e.told == 2 && e.have && e.link.Valid() && e.under != "new" && w.now-e.created > sure+4*tick {
					t.Fatalf("%v: %s, under %q, is valid", w.now, e.name, e.under)
				}
				// The one session that there was goes on to its end.
				if i != late && e.told == 2 && !e.have && w.now < min(RejectAfter-age, 10*s+apart) {
					t.Fatalf("%v: %s has no session", w.now, e.name)
				}
			}
		}
		if apart < 40*s && len(w.lost) > 0 {
			t.Fatalf("lost: %q", w.lost)
		}
		for _, e := range w.ends {
			if !e.have || e.under != "new" || !e.link.Valid() {
				t.Fatalf("%s ends with a session (%v) under %q", e.name, e.have, e.under)
			}
		}
	})
}

// Of a keychain with nothing inside its window what lapsed goes on, and what has
// left does not.
func TestNothingUsable(t *testing.T) {
	for _, tc := range []struct {
		keys Keys
		set  string
	}{{Keys{Lapsed: []string{"old"}}, "old"}, {Keys{}, Nobody}, {Keys{Usable: []string{"new"}}, "new"}} {
		l := New(true, true)
		l.Adopt("old")
		l.SetKeys(tc.keys, t0)
		o := l.Step(Facts{Now: t0, Handshake: t0.Add(-time.Minute)})
		if o.Set != tc.set || o.Drop || l.Valid() != slices.Contains(tc.keys.Lapsed, "old") {
			t.Errorf("%+v: %+v, valid %v", tc.keys, o, l.Valid())
		}
	}
}
