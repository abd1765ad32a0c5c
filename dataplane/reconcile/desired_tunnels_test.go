package reconcile

import (
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
)

// Charon in user space does not copy DSCP: a tunnel that is to copy it is not
// built there.
func TestChooseWithoutDSCP(t *testing.T) {
	for _, c := range []struct {
		can  plan.Capabilities
		copy bool
		want string
	}{
		{plan.Capabilities{}, true, ""},
		{plan.Capabilities{NoESP: "no module"}, false, ""},
		{plan.Capabilities{NoESP: "no module"}, true, "does not copy the DSCP"},
	} {
		chosen := make(map[string]plan.Choice)
		chooseTunnels(&config.Config{Tunnels: []config.Tunnel{{Name: "hub1", Dataplane: config.Auto, Count: 1, CopyDSCP: c.copy, IPsec: &config.IPsec{}}}}, c.can, chosen)
		lack := ""
		if l := chosen["hub1"].Lack; l != nil {
			lack = l.Cause
		}
		if (c.want == "") != (lack == "") || !strings.Contains(lack, c.want) {
			t.Errorf("%+v: %q", c, lack)
		}
	}
}
