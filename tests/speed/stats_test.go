package main

import (
	"math"
	"slices"
	"testing"
)

func TestMedianAndQuantile(t *testing.T) {
	for _, c := range []struct {
		values      []float64
		median, p99 float64
	}{
		{[]float64{3}, 3, 3},
		{[]float64{4, 1}, 2.5, 4},
		{[]float64{9, 1, 5}, 5, 9},
	} {
		before := slices.Clone(c.values)
		if m, q := median(c.values), quantile(c.values, 0.99); m != c.median || q != c.p99 {
			t.Errorf("%v: median %v, 99 of 100 %v", c.values, m, q)
		}
		if !slices.Equal(before, c.values) {
			t.Errorf("%v was sorted to %v", before, c.values)
		}
	}
	var thousand []float64
	for i := range 1000 {
		thousand = append(thousand, float64(i+1))
	}
	if q := quantile(thousand, 0.99); q != 990 {
		t.Errorf("99 of 100 of 1 to 1000: %v", q)
	}
	if q := quantile(thousand, 0); q != 1 {
		t.Errorf("least of 1 to 1000: %v", q)
	}
	if !math.IsNaN(median(nil)) || !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("of no values")
	}
}

func TestRatios(t *testing.T) {
	if got := ratios([]float64{2, 3, 8, 1}, []float64{1, 0, 2}); !slices.Equal(got, []float64{2, 4}) {
		t.Errorf("%v", got)
	}
}

func TestRoundTrips(t *testing.T) {
	const out = `PING 192.0.2.2 (192.0.2.2) 56(84) bytes of data.
64 bytes from 192.0.2.2: icmp_seq=1 ttl=64 time=5.97 ms
64 bytes from 192.0.2.2: icmp_seq=2 ttl=64 time=0.026 ms

--- 192.0.2.2 ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time 2ms
rtt min/avg/max/mdev = 0.026/2.998/5.970/2.972 ms
`
	got, err := roundTrips([]byte(out), 2)
	if err != nil || len(got) != 2 || !same(got[0], 5970) || !same(got[1], 26) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := roundTrips([]byte(out), 3); err == nil {
		t.Error("2 of 3 are enough")
	}
	if _, err := roundTrips(nil, 1); err == nil {
		t.Error("no output has round trips")
	}
}

func TestProcessorTime(t *testing.T) {
	const stat = "cpu  100 20 300 9999 50 6 70 8000 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
	if got, err := machineTime([]byte(stat)); err != nil || !same(got, 4.96) {
		t.Errorf("machine: %v, %v", got, err)
	}
	for _, bad := range []string{"", "cpu", "cpu 1 2 3 4 5 6", "cpu0 1 2 3 4 5 6 7", "cpu 1 2 3 4 5 6 -7", "no"} {
		if _, err := machineTime([]byte(bad)); err == nil {
			t.Errorf("machine %q: no error", bad)
		}
	}
}
