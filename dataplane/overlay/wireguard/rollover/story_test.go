package rollover

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/linkseal/linkseal/tests/golden"
)

// oldNew is a keychain in which new starts at the change.
func oldNew(changed bool) Keys {
	if changed {
		return Keys{Usable: []string{"new", "old"}}
	}
	return Keys{Usable: []string{"old"}}
}

func linkseal(name string, leader, forced bool, change time.Duration) *end {
	return &end{name: name, link: New(forced, leader), forced: forced, change: change, keys: oldNew, poll: 200 * time.Millisecond}
}

func plain(name string, change time.Duration) *end {
	return &end{name: name, change: change, keys: oldNew}
}

func between(a, b *end, seed uint64) *world {
	a.other, b.other, b.phase = b, a, tick/2
	return &world{rng: rand.New(rand.NewPCG(seed, 1)), ends: [2]*end{a, b}, rtt: 20 * time.Millisecond, tell: true}
}

const s = time.Second

// Each story is in testdata, as a person would tell it.
func TestStories(t *testing.T) {
	for _, tc := range []struct {
		name  string
		a, b  *end
		age   time.Duration // of the session, of a's making
		until time.Duration
		set   func(*world)
	}{
		{"together", linkseal("A", true, true, 10*s), linkseal("B", false, true, 10*s), 30 * s, 40 * s, nil},
		{"ten-seconds-apart", linkseal("A", true, true, 10*s), linkseal("B", false, true, 20*s), 30 * s, 60 * s, nil},
		{"fifty-seconds-apart-old-session", linkseal("A", true, true, 10*s), linkseal("B", false, true, 60*s), 109 * s, 120 * s, nil},
		{"five-minutes-apart", linkseal("A", true, true, 10*s), linkseal("B", false, true, 310*s), 30 * s, 400 * s, nil},
		{"five-minutes-apart-second-port-closed", linkseal("A", true, true, 10*s), linkseal("B", false, true, 310*s), 30 * s, 700 * s, func(w *world) { w.closed = true }},
		{"kernels-together", linkseal("A", true, false, 10*s), linkseal("B", false, false, 10*s), 30 * s, 160 * s, nil},
		{"kernels-five-minutes-apart", linkseal("A", true, false, 10*s), linkseal("B", false, false, 310*s), 30 * s, 500 * s, nil},
		{"with-wg-alone-thirty-seconds-later", linkseal("A", true, true, 10*s), plain("B", 40*s), 30 * s, 80 * s, nil},
		{"with-wg-alone-five-minutes-later", linkseal("A", true, true, 10*s), plain("B", 310*s), 30 * s, 700 * s, nil},
		{"link-down-through-the-change", linkseal("A", true, true, 10*s), linkseal("B", false, true, 15*s), 30 * s, 500 * s,
			func(w *world) { w.down = func(at time.Duration) bool { return at > 5*s && at < 400*s } }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := between(tc.a, tc.b, 7)
			w.session(tc.a, tc.age, "old")
			if tc.set != nil {
				tc.set(w)
			}
			w.run(tc.until)
			for _, e := range w.ends {
				if e.psk != "new" || e.under != "new" || !e.have {
					t.Errorf("%s ends with %q, a session (%v) under %q", e.name, e.psk, e.have, e.under)
				}
			}
			if w.down == nil && len(w.lost) > 0 {
				t.Errorf("lost: %q", w.lost)
			}
			golden.Check(t, filepath.Join("testdata", tc.name+".txt"), w.story.String())
		})
	}
}
