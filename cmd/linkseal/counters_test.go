package main

import (
	"testing"

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
