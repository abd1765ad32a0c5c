package course

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// listed takes the pairs that the store has.
func (c *Course) listed(t *teller, pairs []Pair) {
	resumed, doubt := c.resumed, c.doubt
	c.resumed, c.doubt = false, nil
	c.askAt = t.now.Add(askStore)
	own, owned := find(pairs, c.Order.ID), Owned(c.Keychain, pairs, c.Order.Owner)
	switch {
	case c.Reached == None:
		c.claim(t, pairs, owned)
	case c.Reached == Claimed && resumed:
		switch {
		case owned != nil && own == nil:
			c.owned(t, owned)
		case owned != nil && !own.Whole:
			c.GivesWay = owned.Error()
			c.dirty = true
		default:
			t.once("resumed", Event{Phase: Resumed, Detail: "the " + c.key() + " was being written when linkseal ended"})
		}
	case c.Reached == Claimed && doubt != nil && own == nil:
		c.end(t, Failed, fmt.Sprintf("the %s cannot be written: %v; nothing was changed", c.key(), doubt))
	case c.Reached == Claimed: // some of it is there: it is written again
	case owned != nil:
		c.owned(t, owned)
	case own == nil || !own.Whole:
		c.missing(t)
	case own.CKN != "" && own.CKN != c.CKN:
		c.end(t, Failed, fmt.Sprintf("pair %s is not what was written: it has CKN %s, not %s; disable it", own.ID, own.CKN, c.CKN))
	case c.Reached == Written:
		c.misses = 0
		c.reach(t.now, ReadBack)
		t.tell(Event{Phase: ReadBack, Pair: own.ID})
		c.clock(t, own)
	case c.sweepNow:
		c.sweepNow = false
		c.sweep(t, pairs)
	case resumed:
		t.once("resumed", Event{Phase: Resumed, Detail: "after a restart"})
	}
}

// owned ends a rotation of a keychain that is another's.
func (c *Course) owned(t *teller, by *OwnedError) {
	c.Owned = true
	c.end(t, Failed, by.Error())
}

// claim takes the keychain, and plans the pair.
func (c *Course) claim(t *teller, pairs []Pair, owned *OwnedError) {
	if owned != nil {
		c.owned(t, owned)
		c.dirty = false
		return
	}
	// A pair that starts before the one that carries traffic would never take
	// it over, and one whose end is past is none.
	if wrong := cmp.Or(c.view.Clock, behind(pairs, t.now)); wrong != "" {
		c.end(t, Failed, wrong+"; nothing was changed")
		c.dirty = false
		return
	}
	w := c.window
	if w.NotBefore.IsZero() {
		from := t.now.Add(c.lead)
		w.NotBefore = from.Truncate(time.Second)
		// Preferred to all that have begun by then, also when they have in the
		// same second, or the clock was set back.
		for _, k := range c.view.Keys {
			if in := find(pairs, k.ID); in != nil && !k.Fallback && !in.NotBefore.After(from) && !k.Start.Before(w.NotBefore) {
				w.NotBefore = k.Start.Truncate(time.Second).Add(time.Second)
			}
		}
		if c.life > 0 {
			w.Expires = w.NotBefore.Add(c.life)
		}
	}
	c.Order.NotBefore, c.Order.Expires = w.NotBefore.UTC(), w.Expires.UTC()
	if w.Expires.IsZero() {
		c.Order.Expires = time.Time{}
	}
	c.carried()
	c.reach(t.now, Claimed)
	detail := "the store has no " + c.key() + " yet"
	if n := Newest(pairs); n != nil {
		detail = "it follows " + c.key() + " " + n.ID
	}
	t.tell(Event{Phase: Claimed, Pair: c.Order.ID, Detail: detail})
}

// missing is a pair that was written and is not there as it should be.
func (c *Course) missing(t *teller) {
	c.misses++
	if c.misses < maxMisses && c.Reached == Written {
		c.backoff = min(max(2*c.backoff, firstRetry), lastRetry)
		c.retryAt = t.now.Add(c.backoff)
		return
	}
	what := "is not there, or not whole"
	switch {
	case c.Reached != Written && c.Order.PSK:
		what = "was taken out of its store, or is there more than once"
	case c.Reached != Written:
		what = "was taken out of its store, or a half of it"
	}
	c.end(t, Failed, fmt.Sprintf("%[1]s %[2]s %[3]s; the old %[1]ss stay as they are", c.key(), c.Order.ID, what))
}

// clock tells when ours and the store's differ: windows are by the clock.
func (c *Course) clock(t *teller, own *Pair) {
	if own.Created.IsZero() {
		return
	}
	if off := t.now.Sub(own.Created); off.Abs() > clockSlack {
		t.tell(Event{Phase: Waiting, Detail: fmt.Sprintf("the clock and the vault's differ by %v; %ss start and expire by the clock: set it", off.Abs().Round(time.Second), c.key())})
	}
}

// sweep chooses what is to be retired. Nothing newer than the pair is, and no
// fallback.
func (c *Course) sweep(t *teller, pairs []Pair) {
	own := find(pairs, c.Order.ID)
	var old []string
	for i := range pairs {
		p := &pairs[i]
		known := slices.Contains(c.Old, p.ID)
		// A half that is not ours may be about to become whole.
		if p.ID != own.ID && !p.Fallback && later(p, own) < 0 && (known || c.Sweep && p.Whole) {
			old = append(old, p.ID)
		}
	}
	if c.Old = old; len(old) == 0 {
		c.reach(t.now, Retired)
		c.finish(t)
		return
	}
	c.Retiring, c.dirty = true, true
}

// retired takes that the pair id is out of use.
func (c *Course) retired(t *teller, id string) {
	if c.GivesWay != "" {
		c.end(t, Failed, c.GivesWay)
		c.GivesWay = ""
		return
	}
	c.Old = slices.DeleteFunc(slices.Clone(c.Old), func(old string) bool { return old == id })
	c.dirty = true
	t.tell(Event{Phase: Retired, Pair: id})
	if len(c.Old) == 0 {
		c.Retiring = false
		c.reach(t.now, Retired)
		c.finish(t)
	}
}

// finish ends a rotation whose old pairs are gone, if that was waited for.
func (c *Course) finish(t *teller) {
	if c.Outcome == "" {
		c.end(t, Done, "")
	}
}
