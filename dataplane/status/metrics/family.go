package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linkseal/linkseal/dataplane/status"
)

// family is a metric of one name, with the labels in their order.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// families are all that a scrape may have, for Describe.
var families []*prometheus.Desc

func define(kind prometheus.ValueType, name, help string, labels []string) family {
	f := family{prometheus.NewDesc("linkseal_"+name, help, labels, nil), kind}
	families = append(families, f.desc)
	return f
}

func gauge(name, help string, labels ...string) family {
	return define(prometheus.GaugeValue, name, help, labels)
}

func counter(name, help string, labels ...string) family {
	return define(prometheus.CounterValue, name, help, labels)
}

// Collector is a prometheus.Collector of what Read tells.
type Collector struct {
	// Read takes a snapshot. It is called at each scrape, from any goroutine.
	Read func() status.Status
	// Now is what ages and what is left are counted to.
	Now func() time.Time
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range families {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	s := c.Read()
	w := scrape{out: out, now: c.Now()}
	w.appliance(&s)
	for i := range s.Ports {
		w.port(&s.Ports[i])
	}
	w.guard(s.Ports)
	w.tunnels(s.Tunnels)
	keysNow := w.now
	if s.ClockHeld != nil {
		keysNow = *s.ClockHeld
	}
	for i := range s.Keychains {
		w.keychain(&s.Keychains[i], keysNow)
	}
}

// scrape is one answer being written.
type scrape struct {
	out chan<- prometheus.Metric
	now time.Time
}

func (w scrape) put(f family, value float64, labels ...string) {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "?") // a path may be anything
	}
	m, err := prometheus.NewConstMetric(f.desc, f.kind, value, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(f.desc, err)
	}
	w.out <- m
}

// flag is 1 or 0.
func (w scrape) flag(f family, on bool, labels ...string) {
	value := 0.0
	if on {
		value = 1
	}
	w.put(f, value, labels...)
}

// oneOf is 1 for the value that is, 0 for the others, which is the last label.
func (w scrape) oneOf(f family, is string, all []string, labels ...string) {
	for _, value := range all {
		w.flag(f, value == is, append(labels[:len(labels):len(labels)], value)...)
	}
}

// at is a time, in seconds since 1970; absent if there is none.
func (w scrape) at(f family, t *time.Time, labels ...string) {
	if t != nil && !t.IsZero() {
		w.put(f, float64(t.UnixMilli())/1000, labels...)
	}
}

// ago is how long ago a time was, in seconds; absent if there is none.
func (w scrape) ago(f family, now time.Time, t *time.Time, labels ...string) {
	if t != nil && !t.IsZero() {
		w.put(f, now.Sub(*t).Seconds(), labels...)
	}
}
