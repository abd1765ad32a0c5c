package main

import (
	"math"
	"slices"
)

// quantile of values, 0 to 1, the nearest rank; NaN of none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	return s[max(0, int(math.Ceil(q*float64(len(s))))-1)]
}

// median of values; of an even number the mean of the two in the middle; NaN of
// none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// ratios of two contenders' values round by round, of the same minute. A round
// in which b has nothing has no ratio.
func ratios(a, b []float64) (r []float64) {
	for i := range min(len(a), len(b)) {
		if b[i] != 0 {
			r = append(r, a[i]/b[i])
		}
	}
	return r
}
