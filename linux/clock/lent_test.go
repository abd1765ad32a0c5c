package clock

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"github.com/linkseal/linkseal/linux/broker"
	"github.com/linkseal/linkseal/linux/probe"
)

// A daemon that may not ask the kernel has the broker ask, and believes it.
func TestNowByBroker(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	kept := make(chan bool, 1)
	lends := map[broker.What]broker.Lend{broker.Trial: func(f, _ uint32) (int, string, error) {
		if probe.Feature(f) != probe.ClockSync {
			return -1, "", fmt.Errorf("asked for %d", f)
		}
		return -1, fmt.Sprintf(`{"ID": %q, "OK": %v}`, probe.ClockSync.ID(), <-kept), nil
	}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- broker.Serve(ctx, l, lends, slog.New(slog.DiscardHandler)) }()
	t.Setenv(broker.Variable, path)
	var c Clock
	for _, want := range []bool{true, false, true} {
		kept <- want
		if _, set := c.Now(); set != want {
			t.Errorf("it says %v, and the clock counts as set: %v", want, set)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, set := c.Now(); set {
		t.Error("nobody says so, and the clock counts as set")
	}
}
