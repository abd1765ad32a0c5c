package course

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// The moments of an effect at which linkseal can die.
const (
	beforeEffect = iota
	halfWay
	afterEffect
	moments
)

// TestCrash kills a rotation before, within and after every effect, lets it
// go on from the journal, and kills it there again; where the journal knows of
// none it is asked for again. There is a key that both ends have at every
// moment (world.settle), and in the end the new pair is whole and alone.
func TestCrash(t *testing.T) {
	const longest = 24
	for _, theirs := range []time.Duration{0, 15 * time.Second} {
		crashes := 0
		for first := range longest {
			for second := first; second < longest; second += 1 + (second-first)/3 {
				for moment := range moments {
					crashes += crash(t, newWorld(t, "p1"), plan(), theirs, [2]int{first, second}, moment)
				}
			}
		}
		t.Logf("the peer %v late: %d crashes", theirs, crashes)
		if crashes < 300 {
			t.Error("that was not all")
		}
	}
}

// TestPSKCrash is TestCrash of a PSK.
func TestPSKCrash(t *testing.T) {
	crashes := 0
	for first := range 20 {
		for moment := range moments {
			crashes += crash(t, newTunnels(t, "hub1"), pskPlan(), 75*time.Second, [2]int{first, first + 3}, moment)
		}
	}
	if crashes < 60 {
		t.Errorf("%d crashes: that was not all", crashes)
	}
}

// crash runs one rotation that is killed at two of its effects, as they are
// counted over restarts, and returns how often it was.
func crash(t *testing.T, w *world, p Plan, theirs time.Duration, at [2]int, moment int) (crashes int) {
	w.theirs = theirs
	p.Hold = time.Minute
	c := Begin(w.now, p)
	asked := 1
	effects, died := 0, 0
	name := fmt.Sprintf("crash at %v, moment %d", at, moment)
	for steps := 0; ; steps++ {
		if steps > 50_000 {
			t.Fatalf("%s: no end: %+v", name, c.State)
		}
		d := c.Next(w.now)
		if d.Kind == End {
			break
		}
		dies := d.Kind != Look && died < len(at) && effects == at[died]
		if d.Kind != Look {
			effects++
		}
		var r Result
		if !dies || moment > beforeEffect {
			r = w.do(c, d, dies && moment == halfWay)
		}
		if !dies {
			w.events = append(w.events, c.Did(w.now, d, r)...)
			continue
		}
		died++
		w.now = w.now.Add(3 * time.Second)
		s, err := Decode(w.journal)
		switch {
		case w.journal == nil:
			p.ID = fmt.Sprintf("%031d%d", 0, asked)
			asked++
			c = Begin(w.now, p)
		case err != nil:
			t.Fatalf("%s: %v", name, err)
		default:
			c = Resume(w.now, s)
		}
	}
	if c.Outcome != Done || c.Reached != Retired {
		t.Errorf("%s: %s at %s: %s", name, c.Outcome, c.Reached, c.Error)
	}
	if d := cmp.Diff([]string{c.Order.ID}, w.ids()); d != "" {
		t.Errorf("%s: %s", name, d)
	}
	return died
}

// Giving way takes a half back, also when that is cut off.
func TestCrashGivingWay(t *testing.T) {
	for stop := range 4 {
		w := newWorld(t, "p1")
		c := Begin(w.now, plan())
		w.drive(c, func(d Do) bool { return d.Kind == Write })
		w.do(c, Do{Kind: Write}, true)
		w.add(Pair{ID: "theirs", Owner: "them", Whole: true, Created: w.now})
		for n := range stop + 1 {
			s, err := Decode(w.journal)
			if err != nil {
				t.Fatal(err)
			}
			c = Resume(w.now, s)
			effects := 0
			w.drive(c, func(d Do) bool {
				if d.Kind != Look {
					effects++
				}
				return n < stop && effects > n
			})
		}
		if d := cmp.Diff([]string{"old", "theirs"}, w.ids()); d != "" || c.Outcome != Failed || !c.Owned && c.Error == "" {
			t.Errorf("%d: %s, %s %s", stop, d, c.Outcome, c.Error)
		}
	}
}

func TestDecode(t *testing.T) {
	for _, bad := range []string{"", "null", "{}", `{"version": 2}`, `{"version": 1, "reached": "soon"}`, `{"version": 1, "reached": "claimed"}`, `{"version": 1, "outcome": "so-so"}`} {
		if s, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%s is accepted: %+v", bad, s)
		}
	}
	c := Begin(t0, plan())
	c.Did(t0, Do{Kind: Look}, Result{})
	c.Did(t0, Do{Kind: List}, Result{})
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&c.State, s); d != "" {
		t.Error(d)
	}
}

// Dead among the old pairs, with the peer without the new one when linkseal is
// back: the old pairs that are left stay until it has it.
func TestCrashRetiring(t *testing.T) {
	w := newWorld(t, "p1")
	w.add(Pair{ID: "older", Owner: "us", Whole: true, Created: t0.Add(-2 * day), Window: keychain.Window{NotBefore: t0.Add(-2 * day)}})
	c := Begin(w.now, plan())
	retired := 0
	w.drive(c, func(d Do) bool {
		if d.Kind == Retire {
			retired++
		}
		return retired == 2
	})
	s, err := Decode(w.journal)
	if err != nil || len(w.pairs) != 2 {
		t.Fatal(err, w.ids())
	}
	w.theirs = 5 * time.Hour
	w.drive(Resume(w.now, s), nil) // the world ends if no pair is left that both have
	if d := cmp.Diff([]string{newID}, w.ids()); d != "" || w.now.Sub(t0) < 6*time.Hour {
		t.Errorf("%s at %v", d, w.now)
	}
}
