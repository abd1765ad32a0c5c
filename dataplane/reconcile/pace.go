package reconcile

import "time"

// Reloads that are asked for in a row: the first few at once, and then one in
// between, so that who asks in a loop leaves the links their time. Those who
// ask meanwhile share the next.
const (
	reloadsAtOnce = 5
	between       = time.Second
)

// bucket is what reloads take a token from: pure.
type bucket struct {
	tokens int       // taken, of reloadsAtOnce
	last   time.Time // when the tokens were last counted
}

// take takes a token, or says how long to wait for one.
func (b *bucket) take(now time.Time) (wait time.Duration) {
	back := now.Sub(b.last)
	if b.last.IsZero() || back/between >= reloadsAtOnce {
		b.tokens, b.last = 0, now
	} else if n := int(back / between); n > 0 {
		b.tokens, b.last = max(b.tokens-n, 0), b.last.Add(time.Duration(n)*between)
	}
	if b.tokens < reloadsAtOnce {
		b.tokens++
		return 0
	}
	return between - now.Sub(b.last)
}

// spent leaves the time until now, of a reload, out of the count: one that is
// slow is followed by as long a pause as one that is quick.
func (b *bucket) spent(now time.Time) { b.last = now }
