package health

import (
	"context"
	"slices"
	"time"
)

const (
	// Time is how long a version has to become healthy.
	Time = 3 * time.Minute
	// settled is how long it has to stay so: a daemon that starts again and again
	// answers too, now and then.
	settled = 10 * time.Second
	pause   = 2 * time.Second
)

// Wait looks until the machine is healthy and stays so, for Time at the most. What it
// returns is why it is not. say is told when the reasons become others.
func Wait(ctx context.Context, before *Record, look func(context.Context) Facts, say func(reasons []string)) []string {
	ctx, stop := context.WithTimeout(ctx, Time)
	defer stop()
	var healthy time.Time // since when
	var told []string
	for first := true; ; first = false {
		reasons := Judge(before, look(ctx))
		if ctx.Err() != nil && len(told) > 0 {
			return told // what a look that the end cut off did not see is nobody's fault
		}
		if first || !slices.Equal(reasons, told) {
			told = reasons
			say(reasons)
		}
		switch now := time.Now(); {
		case len(reasons) > 0:
			healthy = time.Time{}
		case healthy.IsZero():
			healthy = now
		case now.Sub(healthy) >= settled:
			return nil
		}
		select {
		case <-ctx.Done():
			if len(reasons) == 0 {
				reasons = []string{"it was healthy at the end, but not for " + settled.String()}
			}
			return reasons
		case <-time.After(pause):
		}
	}
}
