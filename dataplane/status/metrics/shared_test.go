package metrics

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
)

// Scrapes share a snapshot a second, those that come at once too.
func TestScrapesShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Int64
		h := Handler(&Collector{Now: time.Now, Read: func() status.Status {
			taken.Add(1)
			return example()
		}}, slog.New(newJournal()))
		scrape := func() {
			if code, _, body := get(t, h, "GET", Path); code != 200 || !strings.Contains(body, "\nlinkseal_port_state{") || !strings.Contains(body, "\ngo_goroutines ") {
				t.Errorf("%d\n%s", code, body)
			}
		}
		want := func(n int64) {
			t.Helper()
			if got := taken.Load(); got != n {
				t.Errorf("%d snapshots, want %d", got, n)
			}
		}
		var all sync.WaitGroup
		for range inFlight {
			all.Go(scrape)
		}
		all.Wait()
		want(1)
		for range 9 {
			scrape()
			time.Sleep(fresh / 10)
		}
		want(1)
		time.Sleep(fresh / 10)
		scrape()
		want(2)
	})
}

// A clock that steps back does not keep what there is.
func TestSharedClockStepsBack(t *testing.T) {
	at, value := now, 0
	s := shared{from: newRegistry(&Collector{Now: func() time.Time { return at }, Read: func() status.Status { value++; return example() }}), now: func() time.Time { return at }}
	for _, step := range []time.Duration{0, -time.Hour, fresh / 2, -2 * time.Hour} {
		at = at.Add(step)
		if _, err := s.Gather(); err != nil {
			t.Fatal(err)
		}
	}
	if value != 3 {
		t.Errorf("%d snapshots", value)
	}
}
