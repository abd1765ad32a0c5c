package health_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/images/health"
)

func TestWait(t *testing.T) {
	bad := func(f health.Facts) health.Facts { f.Daemon = errors.New("not yet"); return f }
	for name, c := range map[string]struct {
		at       func(time.Duration) health.Facts // what is seen how long after
		healthy  bool
		from, to time.Duration // when Wait ends
	}{
		"at once":       {func(time.Duration) health.Facts { return good() }, true, 10 * time.Second, 15 * time.Second},
		"after a while": {func(d time.Duration) health.Facts { return pick(d > 90*time.Second, good(), bad(good())) }, true, 100 * time.Second, 105 * time.Second},
		"never":         {func(time.Duration) health.Facts { return bad(good()) }, false, health.Time, health.Time + 5*time.Second},
		"on and off": {func(d time.Duration) health.Facts {
			return pick(d/time.Second%8 < 5, good(), bad(good()))
		}, false, health.Time, health.Time + 5*time.Second},
		"too late to settle": {func(d time.Duration) health.Facts {
			return pick(d > health.Time-5*time.Second, good(), bad(good()))
		}, false, health.Time, health.Time + 5*time.Second},
		"lost meanwhile": {func(d time.Duration) health.Facts {
			return pick(d < 5*time.Second || d > 60*time.Second, good(), bad(good()))
		}, true, 70 * time.Second, 75 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, told := time.Now(), 0
				reasons := health.Wait(context.Background(), nil, func(ctx context.Context) health.Facts {
					if d, bounded := ctx.Deadline(); !bounded || d.Sub(start) != health.Time {
						t.Error("a look has no deadline")
					}
					return c.at(time.Since(start))
				}, func([]string) { told++ })
				if took := time.Since(start); took < c.from || took > c.to {
					t.Errorf("it took %v", took)
				}
				if (len(reasons) == 0) != c.healthy || told == 0 {
					t.Errorf("%q, told %d times", reasons, told)
				}
			})
		})
	}
}

func pick(yes bool, a, b health.Facts) health.Facts {
	if yes {
		return a
	}
	return b
}

// What is told at the end is what was found, not that the end cut the last look off.
func TestWaitCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		reasons := health.Wait(context.Background(), nil, func(ctx context.Context) health.Facts {
			f := good()
			f.Daemon = errors.New("found")
			if time.Since(start) > health.Time-4*time.Second {
				<-ctx.Done()
				f.Daemon = ctx.Err()
			}
			return f
		}, func([]string) {})
		if len(reasons) != 1 || !strings.HasSuffix(reasons[0], "found") {
			t.Errorf("%q", reasons)
		}
	})
}

// A look that hangs does not hold up the end.
func TestWaitHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		reasons := health.Wait(context.Background(), nil, func(ctx context.Context) health.Facts {
			<-ctx.Done()
			return health.Facts{Units: ctx.Err()}
		}, func([]string) {})
		if len(reasons) == 0 || time.Since(start) > health.Time+time.Second {
			t.Errorf("%q after %v", reasons, time.Since(start))
		}
	})
}
