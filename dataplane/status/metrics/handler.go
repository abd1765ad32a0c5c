package metrics

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Path is where metrics are.
const Path = "/metrics"

// inFlight is how many scrapes are answered at once; others get 503.
const inFlight = 4

// Handler answers GET and HEAD of Path with what c collects, and with the Go
// runtime's and the process's own metrics.
func Handler(c *Collector, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, promhttp.HandlerFor(newRegistry(c), promhttp.HandlerOpts{
		ErrorLog: errorLog{log},
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

type errorLog struct{ *slog.Logger }

func (l errorLog) Println(v ...any) { l.Warn("a scrape of metrics", "error", fmt.Sprint(v...)) }
