package probe

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/linkseal/linkseal/linux/broker"
)

// A feature is missing if the broker has tried it, and not if nobody has.
func TestAsk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker")
	t.Setenv(broker.Variable, path)
	if r := MACsec.Ask(); r.OK || !r.Unknown || r.Remedy == "" {
		t.Errorf("without a broker: %+v", r)
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	var answer atomic.Value
	lends := map[broker.What]broker.Lend{broker.Trial: func(f, _ uint32) (int, string, error) { return -1, answer.Load().(string), nil }}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- broker.Serve(ctx, l, lends, slog.New(slog.DiscardHandler)) }()
	for _, c := range []struct {
		text string
		want Result
	}{
		{`{"ID":"macsec","OK":true}`, Result{OK: true}},
		{`{"ID":"macsec","Detail":"none"}`, Result{Detail: "none"}},
	} {
		answer.Store(c.text)
		if got := MACsec.Ask(); got != c.want {
			t.Errorf("%s: %+v", c.text, got)
		}
	}
	for _, text := range []string{`{"ID":"tcx","OK":true}`, "nonsense"} {
		answer.Store(text)
		if r := MACsec.Ask(); r.OK || !r.Unknown {
			t.Errorf("%s: %+v", text, r)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
