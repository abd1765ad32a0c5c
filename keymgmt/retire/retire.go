// Package retire has erased what retired keys have left in Go's heap: expanded
// keys, and what was allocated in erase.Do, which the runtime erases when the
// garbage collector finds it unreachable. A SecY in user space makes no
// garbage, so that it would not look for minutes.
package retire

import (
	"context"
	"time"
)

const (
	// settle is from the first word of a retirement to the collection: all of
	// its SAs go, and goroutines that are at a batch of frames finish it.
	settle = 200 * time.Millisecond
	// again is from there to a second one, for what a goroutine that was
	// interrupted still had in its hands at the first.
	again = 2 * time.Second
)

// Eraser is one process's. Soon asks, Run does.
type Eraser struct {
	asked   chan struct{}
	collect func()
}

// New returns an Eraser that does with collect: runtime.GC, which ends when
// what it found is erased.
func New(collect func()) *Eraser {
	return &Eraser{asked: make(chan struct{}, 1), collect: collect}
}

// Soon says that a key has been retired, or a part of it. It does not wait, and
// any goroutine may call it.
func (e *Eraser) Soon() {
	select {
	case e.asked <- struct{}{}:
	default: // one is asked for already
	}
}

// Run collects after Soon, until ctx ends: within settle and once more within
// again, however often it is asked meanwhile.
func (e *Eraser) Run(ctx context.Context) {
	for {
		select {
		case <-e.asked:
		case <-ctx.Done():
			return
		}
		if !wait(ctx, settle) {
			return
		}
		// Who asked up to now is served by this one.
		select {
		case <-e.asked:
		default:
		}
		e.collect()
		if !wait(ctx, again) {
			return
		}
		e.collect()
	}
}

// wait tells whether the time has passed, and ctx not ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
