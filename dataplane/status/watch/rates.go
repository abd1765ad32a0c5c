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
	if v.Before == nil {
		return counters, filter
	}
	for j := range v.Before.Status.Ports {
		b := &v.Before.Status.Ports[j]
		if b.Name != p.Name {
			continue
		}
		seconds := v.Last.At.Sub(v.Before.At).Seconds()
		if counters.before = b.Counters; b.Counters != nil {
			counters.seconds = seconds
		}
		if filter.before = b.Filter; b.Filter != nil {
			filter.seconds = seconds
		}
	}
	return counters, filter
}

// pnRate is how much a PN grew a second, of the same SA in the sample before.
func (v View) pnRate(port string, pn uint64, same func(*status.Port) (uint64, bool)) float64 {
	if v.Before == nil {
		return unknown
	}
	for i := range v.Before.Status.Ports {
		if b := &v.Before.Status.Ports[i]; b.Name == port {
			if before, ok := same(b); ok {
				return rates{last: map[string]uint64{"": pn}, before: map[string]uint64{"": before}, seconds: v.Last.At.Sub(v.Before.At).Seconds()}.of("")
			}
		}
	}
	return unknown
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
