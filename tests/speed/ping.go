package main

import (
	"fmt"
	"regexp"
	"strconv"
)

var pingTime = regexp.MustCompile(`(?m)^\d+ bytes from .* time=([0-9.]+) ms$`)

// roundTrips are the times that ping reports, in µs, of sent echo requests. A
// tenth of them may be lost: an idle link loses none.
func roundTrips(out []byte, sent int) ([]float64, error) {
	var us []float64
	for _, m := range pingTime.FindAllSubmatch(out, -1) {
		ms, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return nil, fmt.Errorf("ping: time %q: %w", m[1], err)
		}
		us = append(us, 1000*ms)
	}
	if len(us) == 0 || 10*len(us) < 9*sent {
		return nil, fmt.Errorf("ping: %d of %d answered: too few to measure", len(us), sent)
	}
	return us, nil
}
