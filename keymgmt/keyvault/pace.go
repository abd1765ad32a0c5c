package keyvault

import "time"

const (
	// firstRetry and lastRetry are the waits after a first failure and after
	// many: they double. The last is the polling period if that is shorter,
	// so that a vault that fails is asked no more often than one that does
	// not, and five minutes if it is longer, so that its recovery is not
	// found hours later.
	firstRetry = 5 * time.Second
	lastRetry  = 5 * time.Minute
	// throttledRetry is the first wait when the vault is asked too often and
	// does not say how long it wants to be left alone.
	throttledRetry = 30 * time.Second
	// gap is the least time between two polls, however they come about.
	gap = time.Second
	// jitter spreads appliances that started together: a wait is this part
	// longer or shorter.
	jitter = 0.1
)

// pace is when to poll next: pure.
type pace struct {
	poll     time.Duration
	failures int // in a row
}

// next is how long to wait after a poll that ended with f, nil for a good
// one, and how much of that even a poll out of turn has to wait. random is
// from 0 to 1.
func (p *pace) next(f *Fault, random float64) (wait, hold time.Duration) {
	spread := func(d time.Duration) time.Duration {
		return d + time.Duration((2*random-1)*jitter*float64(d))
	}
	if f == nil {
		p.failures = 0
		return max(spread(p.poll), gap), gap
	}
	first, last := min(firstRetry, p.poll), min(p.poll, lastRetry)
	if f.Kind == Throttled {
		first, last = throttledRetry, lastRetry
	}
	wait = first
	for range p.failures {
		if wait *= 2; wait >= last {
			wait = last
			break
		}
	}
	p.failures++
	// Nobody comes sooner than the vault wants; all may come later.
	hold = max(f.RetryAfter, gap)
	if f.RetryAfter > wait {
		return f.RetryAfter + time.Duration(random*jitter*float64(f.RetryAfter)), hold
	}
	if f.Kind == Throttled {
		hold = wait
	}
	return max(spread(wait), hold), hold
}
