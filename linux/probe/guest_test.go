package probe_test

import (
	"testing"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// The guest's kernel has all that linkseal can use, but for what came after
// it, for hardware and for what a tunnel needs of strongSwan. On the host each is a skip with its reason.
func TestGuestHas(t *testing.T) {
	never := map[probe.Feature]bool{probe.TCX: true, probe.TPM: true, probe.Charon: true, probe.CharonESP: true, probe.ClockSync: true}
	for _, f := range probe.All() {
		if never[f] {
			continue
		}
		t.Run(f.String(), func(t *testing.T) { probetest.Need(t, f) })
	}
}
