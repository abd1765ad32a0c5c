package reconcile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/linux/route"
)

// How flows are spread is as before when no tunnel has several members any more,
// after a restart too, unless somebody has changed it meanwhile.
func TestHashAsBefore(t *testing.T) {
	probetest.Need(t, tunnelNeeds...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		up(t, "eth1")
		dir := filepath.Join(t.TempDir(), "state")
		k.Remember(dir)
		want := func(what, four, six string) {
			t.Helper()
			for is, want := range map[route.Family]string{route.IPv4: four, route.IPv6: six} {
				if got, err := k.routes.HashPolicy(is); err != nil || got != want {
					t.Errorf("%s: %s policy %q, want %q; %v", what, is, got, want, err)
				}
			}
		}
		several, one := plan.Desired{Tunnels: []plan.Tunnel{desiredTun(4)}}, plan.Desired{Tunnels: []plan.Tunnel{desiredTun(1)}}
		if err := k.routes.SetHashPolicy(route.IPv4, "2"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			applyAll(t, k, several, nil)
			want("several", "1", "1")
			k.Remember(dir) // as a restart has it
			applyAll(t, k, several, nil)
			applyAll(t, k, one, nil)
			want("one", "2", "0")
			applyAll(t, k, several, nil)
			applyAll(t, k, plan.Desired{}, nil)
			want("none", "2", "0")
		}
		if _, err := os.Stat(k.remembered); err == nil {
			t.Error("the record stays")
		}

		applyAll(t, k, several, nil)
		if err := k.routes.SetHashPolicy(route.IPv4, "3"); err != nil {
			t.Fatal(err)
		}
		applyAll(t, k, one, nil)
		want("somebody has changed it", "3", "0")

		// The record of another boot, or of another namespace, says nothing.
		applyAll(t, k, several, nil)
		b, err := os.ReadFile(k.remembered)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []string{strings.Replace(string(b), `"boot":"`, `"boot":"x`, 1), strings.Replace(string(b), `"namespace":`, `"namespace":1`, 1), "{}", ""} {
			if err := os.WriteFile(k.remembered, []byte(other), 0o600); err != nil {
				t.Fatal(err)
			}
			if o := observe(t, k, several); len(o.HashBefore) != 0 || !o.HashPorts[plan.IPv4] {
				t.Errorf("%s: %v", other, o.HashBefore)
			}
		}
	})
}
