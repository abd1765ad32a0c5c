package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/linkseal/linkseal/dataplane/status"
)

// Path is where metrics are.
const Path = "/metrics"

// inFlight is how many scrapes are answered at once; others get 503.
const inFlight = 4

// Handler answers GET and HEAD of Path with what c collects, and with the Go
// runtime's and the process's own metrics; scrapes within fresh share them.
func Handler(c *Collector, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, promhttp.HandlerFor(&shared{from: newRegistry(c), now: c.Now}, promhttp.HandlerOpts{
		ErrorLog: &errorLog{log: log, now: c.Now},
		// One thing that cannot be told must not keep the rest.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: inFlight,
		Timeout:             scrapeTime,
		// The answers are short, and the processors have frames to encrypt.
		DisableCompression: true,
	}))
	return mux
}

func newRegistry(c *Collector) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// errorLog is where promhttp tells what goes wrong: a line for each family that
// it cannot write, so that who scrapes and goes could fill the disk.
type errorLog struct {
	log   *slog.Logger
	now   func() time.Time
	quiet status.Quiet
}

// Println implements promhttp.Logger. The errors are among v.
func (l *errorLog) Println(v ...any) {
	text := strings.TrimSpace(fmt.Sprintln(v...))
	if slices.ContainsFunc(v, gone) {
		l.log.Debug("a scrape of metrics that its client did not wait for", "error", text)
	} else if left, ok := l.quiet.Take(l.now()); ok {
		l.log.Warn("a scrape of metrics", "error", text, "not_logged", left)
	}
}

// gone reports whether v is an error of a client that went, or that does not
// take its answer.
func gone(v any) bool {
	err, ok := v.(error)
	return ok && slices.ContainsFunc([]error{context.Canceled, os.ErrDeadlineExceeded, syscall.EPIPE, syscall.ECONNRESET},
		func(e error) bool { return errors.Is(err, e) })
}
