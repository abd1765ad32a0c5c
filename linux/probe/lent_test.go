package probe

import (
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/linkseal/linkseal/linux/broker"
	"github.com/linkseal/linkseal/linux/broker/brokertest"
)

// A feature is missing if the broker has tried it, and not if nobody has.
func TestAsk(t *testing.T) {
	t.Setenv(broker.Variable, filepath.Join(t.TempDir(), "none"))
	if r := MACsec.Ask(); r.OK || !r.Unknown || r.Remedy == "" {
		t.Errorf("without a broker: %+v", r)
	}
	var answer atomic.Value
	path, _ := brokertest.Serve(t, map[broker.What]broker.Lend{
		broker.Trial: func(f, _ uint32) (int, string, error) { return -1, answer.Load().(string), nil },
	})
	t.Setenv(broker.Variable, path)
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
}
