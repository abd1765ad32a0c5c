package keyvault

import (
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPace(t *testing.T) {
	const s, m = time.Second, time.Minute
	down, much := &Fault{Kind: Unreachable}, &Fault{Kind: Throttled}
	for _, tc := range []struct {
		name string
		poll time.Duration
		f    *Fault
		want []time.Duration
	}{
		{"5 minutes", 5 * m, down, []time.Duration{5 * s, 10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 300 * s, 300 * s}},
		{"1 hour", 60 * m, down, []time.Duration{5 * s, 10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 300 * s, 300 * s}},
		{"8 seconds", 8 * s, down, []time.Duration{5 * s, 8 * s, 8 * s}},
		{"1 second", s, down, []time.Duration{s, s}},
		{"throttled", 5 * m, much, []time.Duration{30 * s, 60 * s, 120 * s, 240 * s, 300 * s, 300 * s}},
		{"throttled, 1 second", s, much, []time.Duration{30 * s, 60 * s, 120 * s}},
		{"retry after", 5 * m, &Fault{Kind: Throttled, RetryAfter: 10 * m}, []time.Duration{10 * m, 10 * m}},
		{"retry after less", 5 * m, &Fault{Kind: ServerError, RetryAfter: 2 * s}, []time.Duration{5 * s, 10 * s}},
	} {
		p := pace{poll: tc.poll}
		for i, want := range tc.want {
			wait, _ := p.next(tc.f, 0.5)
			if tc.f.RetryAfter > want/2 {
				want += time.Duration(0.5 * jitter * float64(want))
			}
			if wait != want {
				t.Errorf("%s: wait %d is %v, want %v", tc.name, i, wait, want)
			}
		}
		if wait, hold := p.next(nil, 0.5); wait != tc.poll || hold != gap {
			t.Errorf("%s: then %v, %v", tc.name, wait, hold)
		}
	}
}

// Nobody is asked sooner than it wants, nor more than once a second, and nobody
// is left alone for more than an hour and a tenth.
func TestPaceProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pace{poll: time.Duration(rapid.Int64Range(int64(time.Second), int64(24*time.Hour)).Draw(t, "poll"))}
		for range 20 {
			random := rapid.Float64Range(0, 1).Draw(t, "random")
			var f *Fault
			if rapid.IntRange(0, 3).Draw(t, "fault") > 0 {
				f = &Fault{Kind: rapid.SampledFrom([]FaultKind{Unreachable, Throttled, Malformed}).Draw(t, "kind"), RetryAfter: time.Duration(rapid.Int64Range(0, int64(maxRetryAfter)).Draw(t, "after"))}
			}
			wait, hold := p.next(f, random)
			if wait < hold || hold < gap || f != nil && (hold < f.RetryAfter || wait > maxRetryAfter*11/10) || f == nil && (wait < p.poll*9/10 || wait > p.poll*11/10+gap) {
				t.Fatalf("%v: wait %v, hold %v", f, wait, hold)
			}
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "7.5": 0, "99999999999999999999": 0, "4000000000": time.Hour,
		t0.Add(time.Minute).Format(http.TimeFormat): time.Minute, t0.Add(-time.Minute).Format(http.TimeFormat): 0, "soon": 0,
	} {
		h := http.Header{}
		h.Set("Retry-After", text)
		if got := retryAfter(h, t0); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
