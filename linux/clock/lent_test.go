package clock

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkseal/linkseal/linux/broker"
	"github.com/linkseal/linkseal/linux/broker/brokertest"
	"github.com/linkseal/linkseal/linux/probe"
)

// A daemon that may not ask the kernel has the broker ask, and believes it, for a while.
func TestNowByBroker(t *testing.T) {
	var kept atomic.Bool
	path, stop := brokertest.Serve(t, map[broker.What]broker.Lend{broker.Trial: func(f, _ uint32) (int, string, error) {
		if probe.Feature(f) != probe.ClockSync {
			return -1, "", fmt.Errorf("asked for %d", f)
		}
		return -1, fmt.Sprintf(`{"ID": %q, "OK": %v}`, probe.ClockSync.ID(), kept.Load()), nil
	}})
	t.Setenv(broker.Variable, path)
	var c Clock
	old := func() { c.asked = time.Now().Add(-fresh) }
	for _, want := range []bool{true, false, true} {
		kept.Store(want)
		old()
		for range 2 {
			if _, set := c.Now(); set != want {
				t.Errorf("it said %v, and the clock counts as set: %v", want, set)
			}
			c.asked = time.Now().Add(time.Hour) // however slow this is
			kept.Store(!want)
		}
	}
	stop()
	old()
	if _, set := c.Now(); set {
		t.Error("nobody says so, and the clock counts as set")
	}
}
