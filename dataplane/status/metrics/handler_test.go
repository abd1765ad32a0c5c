package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
)

// A client that goes before its answer is written, again and again, leaves
// nothing in the log of a daemon that does not debug.
func TestClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newJournal()
		all.Handler = slog.NewTextHandler(all, &slog.HandlerOptions{Level: slog.LevelDebug})
		for range 3 {
			ctx, goes := context.WithCancel(t.Context())
			left := make(chan struct{})
			c := &Collector{Now: time.Now, Read: func() status.Status {
				goes()
				<-left
				return example()
			}}
			Handler(c, slog.New(all)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", Path, nil).WithContext(ctx))
			close(left)
			synctest.Wait() // it has been tried to write
		}
		if all.count("level=DEBUG") == 0 || all.count("level=WARN") != 0 {
			t.Errorf("%s", all)
		}
	})
}

// All else is told, once a minute, with how much was not.
func TestErrorsAreThinned(t *testing.T) {
	at, j := now, newJournal()
	l := &errorLog{log: slog.New(j), now: func() time.Time { return at }}
	for range 100 {
		l.Println("error gathering metrics:", errors.New("one thing twice"))
	}
	if j.count("") != 1 || !strings.Contains(j.String(), `error="error gathering metrics: one thing twice" not_logged=0`) {
		t.Errorf("%s", j)
	}
	at = at.Add(time.Minute)
	l.Println("error gathering metrics:", errors.New("one thing twice"))
	if j.count("") != 2 || j.count("not_logged=99") != 1 {
		t.Errorf("%s", j)
	}
}
