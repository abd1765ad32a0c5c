package main

import (
	"strings"
	"testing"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/secy/counters"
	"github.com/linkseal/linkseal/dataplane/status/metrics"
	"github.com/linkseal/linkseal/keymgmt/mka"
)

// What a port's status counts is in the metrics, none left out.
func TestCountersAreMetrics(t *testing.T) {
	all := mkaCounters(new(mka.Counters))
	mka := len(all)
	secYCounters(counters.Counters{}, all)
	if mka < 25 || len(all)-mka < 20 {
		t.Fatalf("%d of MKA and %d of a SecY: there are more", mka, len(all)-mka)
	}
	all["mkpdus_not_sent"] = 0 // Report adds it
	for name := range all {
		if !metrics.Tells(name) {
			t.Errorf("%s is in no metric: dataplane/status/metrics lists those of a port", name)
		}
	}
}

// However a filter is attached, it is told.
func TestModesAreMetrics(t *testing.T) {
	n := 0
	for m := bpf.Mode(0); !strings.HasPrefix(m.String(), "mode "); m++ {
		n++
		if !metrics.TellsMode("ingress", m.String()) {
			t.Errorf("ingress %s is in no metric: dataplane/status/metrics lists the modes", m)
		}
		if out := m != bpf.Native && m != bpf.Generic; metrics.TellsMode("egress", m.String()) != out {
			t.Errorf("egress %s is told: %v", m, !out)
		}
	}
	if n < 5 {
		t.Errorf("%d modes; there are more", n)
	}
}
