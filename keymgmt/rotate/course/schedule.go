package course

import (
	"fmt"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// Schedule is when an owner rotates by itself.
type Schedule struct {
	// Every is from the start of a pair to the start of the next, Overlap how
	// long before its start that is written, and Hold how long the old one is
	// kept when the traffic has moved.
	Every, Overlap, Hold time.Duration
}

// clockSlack is how far our clock may be behind the store's.
const clockSlack = 5 * time.Minute

// Due is the next rotation.
type Due struct {
	At time.Time // when to write the pair; not after now: at once
	keychain.Window
	// Problem is why none can be planned; then the rest is zero.
	Problem string
}

// Next plans the rotation that follows pairs, at now. One that was missed is
// made up for once, however many were; its pair too starts Overlap after it is
// written, so that every appliance that polls has it before it starts.
func (s Schedule) Next(pairs []Pair, now time.Time) Due {
	if wrong := behind(pairs, now); wrong != "" {
		return Due{Problem: wrong}
	}
	var sane []Pair
	for _, p := range pairs {
		// A pair that starts later than any rotation could have planned was
		// made with a wrong clock, and would keep us from rotating until then.
		if !p.Start().After(now.Add(s.Every + s.Overlap)) {
			sane = append(sane, p)
		}
	}
	n := Newest(sane)
	if n == nil {
		d := Due{Problem: "there is no key to follow; make one with linkseal keys generate"}
		if late := Newest(pairs); late != nil {
			d.Problem = fmt.Sprintf("the only %s, %s, starts at %s; make one that starts now with linkseal keys generate", noun(late.PSK), late.ID, stamp(late.Start()))
		}
		return d
	}
	start := n.Start().Add(s.Every)
	d := Due{At: start.Add(-s.Overlap)}
	if soonest := now.Add(s.Overlap); start.Before(soonest) {
		start = soonest
	}
	d.Window = s.Window(start)
	return d
}

// behind tells that our clock is behind the store's, by the pairs that were
// made there.
func behind(pairs []Pair, now time.Time) string {
	for _, p := range pairs {
		if now.Before(p.Created.Add(-clockSlack)) {
			return fmt.Sprintf("the clock says %s, and %s %s was made at %s by the vault's; set the clock", stamp(now), noun(p.PSK), p.ID, stamp(p.Created))
		}
	}
	return ""
}

// Window of a pair that starts at start: it ends when the next has taken over
// and the hold after that is past.
func (s Schedule) Window(start time.Time) keychain.Window {
	start = start.UTC().Truncate(time.Second)
	return keychain.Window{NotBefore: start, Expires: start.Add(s.Every + s.Overlap + s.Hold)}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
