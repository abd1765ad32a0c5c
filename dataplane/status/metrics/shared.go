package metrics

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// fresh is how long what was gathered serves other scrapes. To gather takes a
// look at every port, and whoever reaches the endpoint may ask at any rate.
const fresh = time.Second

// shared is a prometheus.Gatherer of what from gathers, once a fresh.
type shared struct {
	from prometheus.Gatherer
	now  func() time.Time

	mu  sync.Mutex // held while it is gathered: who asks meanwhile has the same
	at  time.Time  // when it had been gathered; zero: never
	all []*dto.MetricFamily
	err error
}

// Gather implements prometheus.Gatherer. The families are shared, not the slice
// of them.
func (s *shared) Gather() ([]*dto.MetricFamily, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := s.now().Sub(s.at); s.at.IsZero() || age < 0 || age >= fresh {
		s.all, s.err = s.from.Gather()
		s.at = s.now()
	}
	return slices.Clone(s.all), s.err
}
