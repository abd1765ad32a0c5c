package reconcile

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func TestCountedBy(t *testing.T) {
	for _, tc := range []struct {
		name      string
		t         config.Tunnel
		dataplane plan.Dataplane
		members   []status.Member
		want      []string
		ipsec     bool
	}{
		{"WireGuard", config.Tunnel{Interface: "wg1", Count: 2, WireGuard: &config.WireGuard{}}, plan.Kernel, []status.Member{{Interface: "wg1-1"}}, []string{"wg1", "wg1-1"}, false},
		{"charon's tun", config.Tunnel{Interface: "ips1", Count: 1, IPsec: &config.IPsec{}}, plan.Userspace, []status.Member{{Interface: "ipsec0"}}, []string{"ips1", "ipsec0"}, false},
		{"transport", config.Tunnel{Count: 1, IPsec: &config.IPsec{}}, plan.Kernel, []status.Member{{}}, nil, true},
	} {
		got, ipsec := countedBy(&tc.t, tc.dataplane, tc.members)
		if d := cmp.Diff(tc.want, got); d != "" || ipsec != tc.ipsec {
			t.Errorf("%s: %s, IPsec %v", tc.name, d, ipsec)
		}
	}
	runTunnel(t, hub(""), func(w *world) {
		w.want("dropped", map[string]map[string]uint64{"wg1": {"tx_dropped": 1}}, w.tunnel("hub1").Dropped)
	})
}

func TestDropped(t *testing.T) {
	probetest.Need(t, needs...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		none := map[string]uint64{"rx_dropped": 0, "rx_errors": 0, "tx_dropped": 0, "tx_errors": 0}
		want := map[string]map[string]uint64{"eth1": none}
		if d := cmp.Diff(want, k.Dropped([]string{"eth1", "gone"}, false)); d != "" {
			t.Error(d)
		}
		if _, err := os.Stat("/proc/self/net/xfrm_stat"); err == nil {
			want[status.XFRM] = map[string]uint64{"rx_errors": 0, "tx_errors": 0}
		}
		if d := cmp.Diff(want, k.Dropped([]string{"eth1"}, true)); d != "" {
			t.Error(d)
		}
	})
}
