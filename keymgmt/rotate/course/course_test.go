package course

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

func TestCourse(t *testing.T) {
	w := newWorld(t, "p1", "p2")
	w.ours, w.theirs = 2*time.Second, 5*time.Second
	c := Begin(w.now, plan())
	w.drive(c, nil)
	want := []string{"claimed", "written", "read_back", "in_keychain",
		"p1 participant_up", "p2 participant_up", "p1 peer_live", "p1 moved", "p2 peer_live", "p2 moved", "p1 settled", "p2 settled", "done", "retired"}
	if d := cmp.Diff(want, w.phases()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{newID}, w.ids()); d != "" {
		t.Error(d)
	}
	if c.Outcome != Done || !c.Ended() || c.CKN != ckn(newID) {
		t.Errorf("%+v", c.State)
	}
	if e := w.events[12]; Sum(e.Lost) != 0 || len(e.Lost) != len(Losses) || !strings.Contains(e.Detail, "after a hold of 1h0m0s") {
		t.Errorf("done: %+v", e)
	}
	if at := c.Times[Retired].Sub(c.Times[Settled]); at < time.Hour || at > time.Hour+time.Minute {
		t.Errorf("retired %v after the old SAs had gone", at)
	}
	s, err := Decode(w.journal)
	if err != nil || !s.Ended() {
		t.Errorf("journal %s, %v", w.journal, err)
	}
}

// The peer is late: nothing moves, it is told once, and the end is the same.
func TestLate(t *testing.T) {
	w := newWorld(t, "p1")
	w.theirs = time.Hour
	w.drive(Begin(w.now, plan()), nil)
	waits := 0
	for _, e := range w.events {
		if e.Phase == Waiting {
			waits++
			if e.Port != "p1" || !strings.Contains(e.Detail, "not live") {
				t.Errorf("%+v", e)
			}
		}
	}
	if waits != 1 || w.ids()[0] != newID || len(w.ids()) != 1 {
		t.Errorf("told %d times; left are %q", waits, w.ids())
	}
	if moved := w.events[slices.IndexFunc(w.events, func(e Event) bool { return e.Phase == Moved })]; moved.ElapsedMS < time.Hour.Milliseconds() {
		t.Errorf("moved at %d ms", moved.ElapsedMS)
	}
}

func TestOwned(t *testing.T) {
	w := newWorld(t, "p1")
	w.add(Pair{ID: "theirs", Owner: "them", Whole: true, Created: t0.Add(-time.Hour), Window: keychain.Window{NotBefore: t0.Add(-time.Hour)}})
	before := w.ids()
	c := Begin(w.now, plan())
	w.drive(c, nil)
	if e := w.last(); e.Phase != Failed || !strings.Contains(e.Error, "rotated by them") || !strings.Contains(e.Error, "linkseal keys generate link1 --take-over") || !c.Owned {
		t.Errorf("%+v", e)
	}
	if d := cmp.Diff(before, w.ids()); d != "" || w.journal != nil {
		t.Errorf("%s, journal %s", d, w.journal)
	}
	// Their tag is removed: anybody may take over. A half pair, and an older
	// one, say nothing.
	w.pairs[1].Owner = ""
	w.add(Pair{ID: "half", Owner: "them", Created: t0})
	w.pairs[0].Owner = "them"
	w.events = nil
	w.drive(Begin(w.now, plan()), nil)
	if d := cmp.Diff([]string{"half half", newID}, w.ids()); d != "" {
		t.Error(d)
	}
}

// Two that claim at once: one gives way, or comes after the other; and in the
// end there is one pair, of one that is done.
func TestTwoOwners(t *testing.T) {
	ways := map[Phase]int{}
	for first := range 12 {
		for second := range 12 {
			w := newWorld(t, "p1")
			w.pairs[0].Owner = ""
			p := plan()
			p.ID, p.Owner = strings.Repeat("f", 32), "them"
			a, b := Begin(w.now, plan()), Begin(w.now, p)
			steps := func(n int) func(Do) bool { return func(Do) bool { n--; return n < 0 } }
			w.drive(a, steps(first))
			w.drive(b, steps(second))
			w.drive(a, nil)
			w.drive(b, nil)
			done := 0
			for _, c := range []*Course{a, b} {
				ways[c.Outcome]++
				switch {
				case c.Outcome == Failed && !c.Owned:
					t.Errorf("after %d and %d steps %s fails: %s", first, second, c.Order.Owner, c.Error)
				case c.Outcome == Done && find(w.pairs, c.Order.ID) != nil:
					done++
				}
			}
			if done != 1 || len(w.pairs) != 1 {
				t.Errorf("after %d and %d steps: %s (%s) and %s (%s), left %q", first, second, a.Outcome, a.Error, b.Outcome, b.Error, w.ids())
			}
		}
	}
	if ways[Failed] == 0 || ways[Done] == 0 {
		t.Errorf("%v: nobody gave way", ways)
	}
}

// An outage of the store: before the claim it fails and has changed nothing;
// afterwards it is waited for, and told once.
func TestOutage(t *testing.T) {
	w := newWorld(t, "p1")
	w.outage = errors.New("no route to vault")
	w.drive(Begin(w.now, plan()), nil)
	if e := w.last(); e.Phase != Failed || !strings.Contains(e.Error, "no route to vault; nothing was changed") {
		t.Errorf("%+v", e)
	}
	for _, kind := range []Kind{Write, List, Retire} {
		w := newWorld(t, "p1")
		c := Begin(w.now, plan())
		w.drive(c, func(d Do) bool { return d.Kind == kind && c.Reached != None })
		w.outage = errors.New("no route to vault")
		end := w.now.Add(time.Hour)
		w.drive(c, func(Do) bool { return !w.now.Before(end) })
		w.outage = nil
		w.drive(c, nil)
		told := 0
		for _, e := range w.events {
			if e.Phase == Retrying {
				told++
			}
		}
		if told != 1 || !c.Ended() || c.Outcome != Done {
			t.Errorf("%v: told %d times, %s %s", kind, told, c.Outcome, c.Error)
		}
	}
}

// throttled is a store that wants to be left alone.
type throttled time.Duration

func (throttled) Error() string          { return "throttled" }
func (t throttled) Later() time.Duration { return time.Duration(t) }

// Nobody asks a store sooner than it wants, whatever step it is.
func TestThrottled(t *testing.T) {
	const later = 20 * time.Minute
	for _, kind := range []Kind{Write, List, Retire} {
		w := newWorld(t, "p1")
		c := Begin(w.now, plan())
		w.drive(c, func(d Do) bool { return d.Kind == kind && c.Reached != None })
		from := w.now
		c.Did(w.now, Do{Kind: kind}, Result{Err: fmt.Errorf("vault: %w", throttled(later))})
		w.drive(c, func(d Do) bool { return d.Kind == kind })
		if asked := w.now.Sub(from); asked < later || asked > later+time.Minute {
			t.Errorf("%v: asked again after %v", kind, asked)
		}
		if w.drive(c, nil); c.Outcome != Done || !c.Ended() {
			t.Errorf("%v: %s %s", kind, c.Outcome, c.Error)
		}
	}
}

// A store that refuses to write has changed nothing, and so the rotation fails.
func TestRefused(t *testing.T) {
	w := newWorld(t, "p1")
	c := Begin(w.now, plan())
	w.drive(c, func(d Do) bool { return d.Kind == Write })
	w.events = append(w.events, c.Did(w.now, Do{Kind: Write}, Result{Err: errors.Join(ErrRefused, errors.New("forbidden"))})...)
	w.drive(c, nil)
	if e := w.last(); e.Phase != Failed || !strings.Contains(e.Error, "forbidden") || len(w.pairs) != 1 {
		t.Errorf("%+v, %q", e, w.ids())
	}
	// A half that is there is completed.
	w = newWorld(t, "p1")
	c = Begin(w.now, plan())
	w.drive(c, func(d Do) bool { return d.Kind == Write })
	w.do(c, Do{Kind: Write}, true)
	c.Did(w.now, Do{Kind: Write}, Result{Err: ErrRefused})
	w.drive(c, nil)
	if c.Outcome != Done || len(w.pairs) != 1 {
		t.Errorf("%s %s, %q", c.Outcome, c.Error, w.ids())
	}
}

func TestJournalFull(t *testing.T) {
	w := newWorld(t, "p1")
	w.diskFull = errors.New("no space left")
	c := Begin(w.now, plan())
	w.drive(c, nil)
	if c.Outcome != Failed || len(w.pairs) != 1 || !strings.Contains(c.Error, "no space left; nothing was changed") {
		t.Errorf("%s %s, %q", c.Outcome, c.Error, w.ids())
	}
	// Once the pair is there the traffic moves all the same, and the old pair
	// waits for the disk.
	w = newWorld(t, "p1")
	c = Begin(w.now, plan())
	w.drive(c, func(d Do) bool { return d.Kind == Write })
	w.diskFull = errors.New("no space left")
	end := w.now.Add(3 * time.Hour)
	w.drive(c, func(Do) bool { return w.now.After(end) })
	if c.Outcome != Done || len(w.pairs) != 2 {
		t.Errorf("%s %s, %q", c.Outcome, c.Error, w.ids())
	}
	w.diskFull = nil
	w.drive(c, nil)
	if len(w.pairs) != 1 {
		t.Errorf("%q", w.ids())
	}
}

// Somebody takes the new pair out: the old one stays.
func TestWithdrawn(t *testing.T) {
	for _, at := range []time.Duration{time.Minute, 3 * time.Hour} { // while the peer is late, in the hold
		w := newWorld(t, "p1")
		w.theirs = 2 * time.Hour
		p := plan()
		p.Hold = 24 * time.Hour
		c := Begin(w.now, p)
		w.drive(c, func(Do) bool { return w.now.Sub(t0) > at })
		w.retire(newID, false)
		w.drive(c, nil)
		if c.Outcome != Failed || !strings.Contains(c.Error, "taken out") || w.ids()[0] != "old" {
			t.Errorf("%s %s, %q", c.Outcome, c.Error, w.ids())
		}
	}
}

// A fallback stays, and so does what is newer; without a sweep all that has
// not carried traffic.
func TestWhatIsRetired(t *testing.T) {
	for _, sweep := range []bool{true, false} {
		w := newWorld(t, "p1")
		w.add(Pair{ID: "fallback", Whole: true, Fallback: true, Window: keychain.Window{NotBefore: t0.Add(-9 * day)}})
		w.add(Pair{ID: "older", Whole: true, Window: keychain.Window{NotBefore: t0.Add(-5 * day)}})
		w.add(Pair{ID: "newer", Whole: true, Owner: "us", Window: keychain.Window{NotBefore: t0.Add(9 * day)}})
		p := plan()
		p.Sweep = sweep
		w.drive(Begin(w.now, p), nil)
		want := []string{"fallback", "newer", newID}
		if !sweep {
			want = []string{"fallback", "older", "newer", newID}
		}
		if d := cmp.Diff(want, w.ids()); d != "" {
			t.Error(d)
		}
	}
}

// A port without a peer does not keep the traffic from moving, but the old
// pairs from being retired: its peer may not have the new one.
func TestIdlePort(t *testing.T) {
	w := newWorld(t, "p1", "p2")
	w.ports[1].up = false
	c := Begin(w.now, plan())
	w.drive(c, func(Do) bool { return w.now.Sub(t0) > 30*time.Hour })
	if c.Outcome != Done || len(w.pairs) != 2 || !slices.Contains(w.phases(), "p2 waiting") {
		t.Errorf("%s, %q, %q", c.Outcome, w.ids(), w.phases())
	}
	w.ports[1].up = true
	w.drive(c, nil)
	if len(w.pairs) != 1 || w.now.Sub(t0) < 31*time.Hour {
		t.Errorf("%q at %v", w.ids(), w.now)
	}
}

// While the keys cannot be sealed the traffic moves, and the old pairs stay: a
// restart without the store would have them alone. Whoever follows need not wait.
func TestUnsealed(t *testing.T) {
	for _, hold := range []time.Duration{0, time.Hour} {
		w := newWorld(t, "p1")
		w.unsealed = "no space left"
		p := plan()
		p.Hold = hold
		c := Begin(w.now, p)
		w.drive(c, func(Do) bool { return w.now.Sub(t0) > 2*time.Hour })
		if len(w.pairs) != 2 || c.Reached != Settled || !slices.Contains(w.phases(), string(Waiting)) {
			t.Errorf("hold %v: %q, %q", hold, w.ids(), w.phases())
		}
		done := slices.IndexFunc(w.events, func(e Event) bool { return e.Phase == Done })
		if c.Outcome != Done || done < 0 {
			t.Fatalf("hold %v: the rotation has not ended: %q", hold, w.phases())
		}
		if e := w.events[done]; hold == 0 && (e.Time.Sub(t0) > time.Minute || !strings.Contains(e.Detail, "until the keys can be sealed")) {
			t.Errorf("%+v", e)
		}
		w.unsealed = ""
		w.drive(c, nil)
		if c.Outcome != Done || len(w.pairs) != 1 {
			t.Errorf("hold %v: %s, %q", hold, c.Outcome, w.ids())
		}
	}
}

// Keys that are sealed soon are not waited for aloud, and the pairs are retired
// before the end, as ever.
func TestSealedSoon(t *testing.T) {
	w := newWorld(t, "p1")
	w.unsealed = "being sealed"
	p := plan()
	p.Hold = 0
	c := Begin(w.now, p)
	var settled time.Time
	w.drive(c, func(Do) bool {
		if c.Reached == Settled && settled.IsZero() {
			settled = w.now
		}
		if !settled.IsZero() && w.now.Sub(settled) > patience/2 {
			w.unsealed = ""
		}
		return false
	})
	if all := w.phases(); slices.Contains(all, string(Waiting)) || all[len(all)-2] != string(Retired) || all[len(all)-1] != string(Done) {
		t.Errorf("%q", all)
	}
}

// In the hold a port that goes down after it has moved does not count, one
// that goes back to the old pair begins the hold anew.
func TestHold(t *testing.T) {
	w := newWorld(t, "p1")
	c := Begin(w.now, plan())
	w.drive(c, func(Do) bool { return c.Settled() && w.now.Sub(t0) > 30*time.Minute })
	w.ports[0].up = false
	w.drive(c, nil)
	if len(w.pairs) != 1 || w.now.Sub(t0) > 61*time.Minute {
		t.Errorf("%q at %v", w.ids(), w.now)
	}
	w = newWorld(t, "p1")
	c = Begin(w.now, plan())
	w.drive(c, func(Do) bool { return c.Settled() && w.now.Sub(t0) > 30*time.Minute })
	w.theirs = 2 * time.Hour // the peer has lost it
	w.drive(c, nil)
	if len(w.pairs) != 1 || w.now.Sub(t0) < 3*time.Hour {
		t.Errorf("%q at %v", w.ids(), w.now)
	}
}

// A restart a day, with its ports unsecured at first, does not keep an old pair
// for ever.
func TestHoldAcrossRestarts(t *testing.T) {
	w := newWorld(t, "p1")
	c := Begin(w.now, plan())
	w.drive(c, func(Do) bool { return c.Settled() && !c.Since.IsZero() && !c.dirty })
	for range 3 {
		w.now = w.now.Add(25 * time.Minute)
		s, err := Decode(w.journal)
		if err != nil {
			t.Fatal(err)
		}
		if c = Resume(w.now, s); c.Ended() {
			break
		}
		starting := w.view().Ports
		starting[0].Secured, starting[0].Encoding, starting[0].SAs = false, "", nil
		for _, v := range []View{{}, {Ports: starting}, {Keys: w.view().Keys, Ports: starting}} {
			c.Did(w.now, Do{Kind: Look}, Result{View: v})
		}
		w.drive(c, func(Do) bool { return w.now.Sub(c.phaseAt) > time.Minute && !c.dirty })
	}
	if d := cmp.Diff([]string{newID}, w.ids()); d != "" {
		t.Errorf("at %v: %s", w.now.Sub(t0), d)
	}
}

func TestLost(t *testing.T) {
	w := newWorld(t, "p1")
	w.theirs = 10 * time.Second
	c := Begin(w.now, plan())
	w.drive(c, func(Do) bool { return w.now.Sub(t0) > 5*time.Second })
	w.ports[0].counters["in_pkts_late"] += 3
	w.ports[0].counters["in_pkts_ok"] += 1000
	w.drive(c, func(Do) bool { return w.now.Sub(t0) > 6*time.Second })
	w.ports[0].counters = map[string]uint64{"in_pkts_late": 2} // began anew
	w.drive(c, func(Do) bool { return c.Settled() })
	w.ports[0].counters["in_pkts_late"] += 10
	w.drive(c, nil)
	if c.Lost["in_pkts_late"] != 5 || Sum(c.Lost) != 5 {
		t.Errorf("%v", c.Lost)
	}
}

// The new pair is preferred also when the clock was set back since the old one
// started.
func TestClockSetBack(t *testing.T) {
	w := newWorld(t, "p1")
	w.pairs[0].Window, w.pairs[0].Created = keychain.Window{}, t0.Add(time.Minute) // counts from when it was first seen
	w.wholeSince["old"] = t0.Add(-time.Hour)
	c := Begin(w.now, plan())
	w.drive(c, nil)
	if c.Outcome != Done || !c.Order.NotBefore.After(t0.Add(time.Minute)) {
		t.Errorf("%s %s, not before %v", c.Outcome, c.Error, c.Order.NotBefore)
	}
}

// With a clock that is behind no pair is written: it would start before the one
// that carries the traffic, and never take that over.
func TestClockBehind(t *testing.T) {
	for name, set := range map[string]func(*world){
		"the store's": func(w *world) {
			w.now = t0.Add(-48 * time.Hour)
			w.ports[0].up = false // no key's time has come
		},
		"the sealed keys'": func(w *world) { w.clock = "the clock is earlier than when the keys were last sealed; set it" },
	} {
		w := newWorld(t, "p1")
		set(w)
		end := w.now.Add(time.Hour)
		w.drive(Begin(w.now, plan()), func(Do) bool { return w.now.After(end) })
		if e := w.last(); e.Phase != Failed || !strings.Contains(e.Error, "the clock") || !strings.Contains(e.Error, "nothing was changed") || w.journal != nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// Of two pairs written in one second the one with the greater CKN carries the
// traffic, also if it is the other's.
func TestSameSecond(t *testing.T) {
	w := newWorld(t, "p1")
	w.pairs[0].Owner = ""
	c := Begin(w.now, plan())
	w.drive(c, func(d Do) bool { return d.Kind == Write })
	w.add(Pair{ID: strings.Repeat("f", 32), Owner: "them", Whole: true, Created: c.Order.NotBefore.Add(-time.Second), Window: c.Order.Window()})
	end := w.now.Add(30 * time.Minute)
	w.drive(c, func(Do) bool { return c.Settled() || w.now.After(end) })
	if c.Outcome != Done {
		t.Fatalf("%s %s", c.Outcome, c.Error)
	}
	w.drive(c, nil)
	if d := cmp.Diff([]string{newID}, w.ids()); d != "" {
		t.Error(d)
	}
}

// A newer key that somebody made carries the traffic: that is as good.
func TestOvertaken(t *testing.T) {
	w := newWorld(t, "p1")
	w.theirs = time.Hour
	c := Begin(w.now, plan())
	w.drive(c, func(Do) bool { return w.now.Sub(t0) > time.Minute })
	w.add(Pair{ID: "by hand", Whole: true, Created: w.now.Add(-time.Hour), Window: keychain.Window{NotBefore: w.now}})
	w.drive(c, nil)
	if c.Outcome != Done {
		t.Errorf("%s %s", c.Outcome, c.Error)
	}
	if d := cmp.Diff([]string{newID, "by hand"}, w.ids()); d != "" {
		t.Error(d)
	}
}
