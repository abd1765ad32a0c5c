package watch

import (
	"fmt"
	"math"
	"strings"

	"github.com/linkseal/linkseal/dataplane/status"
)

// rates are those of one port, from two readings of its counters.
type rates struct {
	last, before map[string]uint64
	seconds      float64 // between them; 0: there is one reading alone
}

// unknown is a rate that cannot be told: there is one reading, or the counter
// began anew between the two.
var unknown = math.NaN()

// of is how much the counters called names grew a second, together. One that
// is not there counts nothing.
func (r rates) of(names ...string) float64 {
	if r.seconds <= 0 {
		return unknown
	}
	var sum float64
	for _, name := range names {
		last, there := r.last[name]
		before, was := r.before[name]
		switch {
		case !there:
		case !was || last < before:
			return unknown
		default:
			sum += float64(last-before) / r.seconds
		}
	}
	return sum
}

// portRates are the rates of the port that is the newest sample's i-th: those
// of the SecY and MKA, and those of the filter.
func (v View) portRates(i int) (counters, filter rates) {
	p := &v.Last.Status.Ports[i]
	counters.last, filter.last = p.Counters, p.Filter
	b := v.before(p.Name)
	if b == nil {
		return counters, filter
	}
	if counters.before = b.Counters; b.Counters != nil {
		counters.seconds = v.seconds()
	}
	if filter.before = b.Filter; b.Filter != nil {
		filter.seconds = v.seconds()
	}
	return counters, filter
}

// before is the port in the sample before; nil: it was not there.
func (v View) before(port string) *status.Port {
	if v.Before == nil {
		return nil
	}
	for i := range v.Before.Status.Ports {
		if b := &v.Before.Status.Ports[i]; b.Name == port {
			return b
		}
	}
	return nil
}

// seconds are those between the samples.
func (v View) seconds() float64 { return v.Last.At.Sub(v.Before.At).Seconds() }

// grown is how much one counter grew a second, if what it was is known.
func (v View) grown(last, was uint64, known bool) float64 {
	if !known {
		return unknown
	}
	return rates{last: map[string]uint64{"": last}, before: map[string]uint64{"": was}, seconds: v.seconds()}.of("")
}

// pnRate is how much a PN grew a second, of the same SA in the sample before.
func (v View) pnRate(port string, pn uint64, same func(*status.Port) (uint64, bool)) float64 {
	b := v.before(port)
	if b == nil {
		return unknown
	}
	before, known := same(b)
	return v.grown(pn, before, known)
}

// short is a number in three digits and a unit of thousands; "-": unknown.
func short(x float64) string {
	if math.IsNaN(x) {
		return "-"
	}
	const units = " kMGTPE"
	u := 0
	for x >= 999.5 && u < len(units)-1 {
		x /= 1000
		u++
	}
	digits := 0
	switch {
	case x == 0:
	case x < 9.95:
		digits = 1
		if u > 0 {
			digits = 2
		}
	case x < 99.5 && u > 0:
		digits = 1
	}
	return strings.TrimSpace(fmt.Sprintf("%.*f%c", digits, x, units[u]))
}
