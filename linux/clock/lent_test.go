package clock

import (
	"fmt"
	"testing"

	"github.com/linkseal/linkseal/linux/broker"
	"github.com/linkseal/linkseal/linux/broker/brokertest"
	"github.com/linkseal/linkseal/linux/probe"
)

// A daemon that may not ask the kernel has the broker ask, and believes it.
func TestNowByBroker(t *testing.T) {
	kept := make(chan bool, 1)
	path, stop := brokertest.Serve(t, map[broker.What]broker.Lend{broker.Trial: func(f, _ uint32) (int, string, error) {
		if probe.Feature(f) != probe.ClockSync {
			return -1, "", fmt.Errorf("asked for %d", f)
		}
		return -1, fmt.Sprintf(`{"ID": %q, "OK": %v}`, probe.ClockSync.ID(), <-kept), nil
	}})
	t.Setenv(broker.Variable, path)
	var c Clock
	for _, want := range []bool{true, false, true} {
		kept <- want
		if _, set := c.Now(); set != want {
			t.Errorf("it says %v, and the clock counts as set: %v", want, set)
		}
	}
	stop()
	if _, set := c.Now(); set {
		t.Error("nobody says so, and the clock counts as set")
	}
}
