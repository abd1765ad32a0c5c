package course

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

const day = 24 * time.Hour

var month = Schedule{Every: 30 * day, Overlap: time.Hour, Hold: day}

func started(id string, at time.Time) Pair {
	return Pair{ID: id, Whole: true, Created: at.Add(-time.Hour), Window: keychain.Window{NotBefore: at}}
}

func TestNext(t *testing.T) {
	old := started("a", t0)
	half, fallback := started("h", t0.Add(10*day)), started("f", t0.Add(10*day))
	half.Whole, fallback.Fallback = false, true
	half.Created, fallback.Created = t0, t0
	for _, tc := range []struct {
		name   string
		pairs  []Pair
		now    time.Time
		at, nb time.Time
	}{
		{"long before", []Pair{old}, t0.Add(day), t0.Add(30*day - time.Hour), t0.Add(30 * day)},
		{"just due", []Pair{old}, t0.Add(30*day - time.Hour), t0.Add(30*day - time.Hour), t0.Add(30 * day)},
		{"late: it starts an overlap from now", []Pair{old}, t0.Add(30 * day), t0.Add(30*day - time.Hour), t0.Add(30*day + time.Hour)},
		{"ten missed: one", []Pair{old}, t0.Add(300 * day), t0.Add(30*day - time.Hour), t0.Add(300*day + time.Hour)},
		{"the next is written already", []Pair{old, started("b", t0.Add(30*day))}, t0.Add(30*day - time.Minute), t0.Add(60*day - time.Hour), t0.Add(60 * day)},
		{"halves and fallbacks do not count", []Pair{half, fallback, old}, t0.Add(day), t0.Add(30*day - time.Hour), t0.Add(30 * day)},
		{"a pair of a wrong clock", []Pair{{ID: "w", Whole: true, Created: t0, Window: keychain.Window{NotBefore: t0.Add(5000 * day)}}, old}, t0.Add(day), t0.Add(30*day - time.Hour), t0.Add(30 * day)},
		{"without not_before by when it was made", []Pair{{ID: "c", Whole: true, Created: t0}}, t0.Add(day), t0.Add(30*day - time.Hour), t0.Add(30 * day)},
	} {
		d := month.Next(tc.pairs, tc.now)
		if !d.At.Equal(tc.at) || !d.NotBefore.Equal(tc.nb) || d.Problem != "" {
			t.Errorf("%s: %+v, want at %v from %v", tc.name, d, tc.at, tc.nb)
		}
		if want := tc.nb.Add(31*day + time.Hour); !d.Expires.Equal(want) {
			t.Errorf("%s: expires %v, want %v", tc.name, d.Expires, want)
		}
	}
	for problem, d := range map[string]Due{
		"no key to follow":           month.Next(nil, t0),
		"pair a was made at 2026-11": month.Next([]Pair{old}, t0.Add(-day)),
		"starts at 2040-":            month.Next([]Pair{{ID: "x", Whole: true, Created: t0, Window: keychain.Window{NotBefore: t0.AddDate(14, 0, 0)}}}, t0),
	} {
		if !strings.Contains(d.Problem, problem) || !d.At.IsZero() {
			t.Errorf("%+v, want %s", d, problem)
		}
	}
}

// Years of an owner that looks now and then, goes away, has its clock set and
// cannot reach its vault: pairs come one at a time, each known everywhere
// before it starts, each started before the one before it ends, unless the
// owner was away; and never two for one that was missed.
func TestScheduleProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule{
			Every:   time.Duration(rapid.IntRange(2, 90).Draw(t, "every, days")) * day,
			Overlap: time.Duration(rapid.IntRange(1, 24).Draw(t, "overlap, hours")) * time.Hour,
			Hold:    time.Duration(rapid.IntRange(0, 48).Draw(t, "hold, hours")) * time.Hour,
		}
		now := t0
		pairs := []Pair{started("0", t0)}
		pairs[0].Expires = s.Window(t0).Expires
		for i := range 60 {
			gap := time.Duration(rapid.IntRange(1, 60).Draw(t, "minutes")) * time.Minute
			away := rapid.IntRange(0, 9).Draw(t, "away") == 0
			if away {
				gap = time.Duration(rapid.IntRange(1, 400).Draw(t, "days away")) * day
			}
			before := nextAt(s, pairs, now)
			if !away && before.After(now) {
				gap = min(before.Sub(now), s.Every) + time.Duration(rapid.IntRange(0, 59).Draw(t, "late"))*time.Minute
			}
			now = now.Add(gap)
			if rapid.IntRange(0, 4).Draw(t, "clock set back") == 0 {
				back := now.Add(-time.Duration(rapid.IntRange(1, 1000).Draw(t, "hours back")) * time.Hour)
				if d := s.Next(pairs, back); d.Problem == "" && !d.At.After(back) && s.Next(pairs, now).At.After(now) {
					t.Fatalf("with the clock at %v for %v a pair is due: %+v of %+v", back, now, d, pairs)
				}
			}
			d := s.Next(pairs, now)
			if d.Problem != "" {
				t.Fatalf("at %v: %s", now, d.Problem)
			}
			if d.At.After(now) {
				continue
			}
			last := pairs[len(pairs)-1]
			switch {
			case d.NotBefore.Sub(last.NotBefore) < s.Every:
				t.Fatalf("two pairs within %v: %v and %v", s.Every, last.NotBefore, d.NotBefore)
			case d.NotBefore.Sub(now) < s.Overlap-time.Second:
				t.Fatalf("at %v a pair that starts at %v, sooner than %v after", now, d.NotBefore, s.Overlap)
			case gap < time.Hour && !away && d.NotBefore.After(last.Expires):
				t.Fatalf("a gap between %v and %v", last.Expires, d.NotBefore)
			}
			p := Pair{ID: string(rune('a' + i)), Whole: true, Created: now, Window: d.Window}
			pairs = append(pairs, p)
			if again := s.Next(pairs, now); !again.At.After(now) {
				t.Fatalf("at %v another is due at once: %+v", now, again)
			}
		}
	})
}

func nextAt(s Schedule, pairs []Pair, now time.Time) time.Time { return s.Next(pairs, now).At }

func TestNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pairs []Pair
		for i := range rapid.IntRange(0, 5).Draw(t, "pairs") {
			p := started(string(rune('a'+i)), t0.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "start"))*day))
			p.Created = t0.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "created")) * time.Second)
			p.Whole, p.Fallback = rapid.Bool().Draw(t, "whole"), rapid.Bool().Draw(t, "fallback")
			p.Owner = rapid.SampledFrom([]string{"", "us", "them"}).Draw(t, "owner")
			pairs = append(pairs, p)
		}
		a, b := Newest(pairs), Newest(rapid.Permutation(pairs).Draw(t, "shuffled"))
		if (a == nil) != (b == nil) || a != nil && a.ID != b.ID {
			t.Fatalf("the order matters: %v, %v", a, b)
		}
		us, them := Owned("k", pairs, "us"), Owned("k", pairs, "them")
		if us != nil && them != nil {
			t.Fatalf("owned by both: %v, %v", us, them)
		}
	})
}
