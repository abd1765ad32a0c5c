package interop

import (
	"testing"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/tests/lab"
	"github.com/linkseal/linkseal/tests/tunnels"
)

// suite is the tests of tunnels, over the kernel's WireGuard. A change of PSK
// takes as long as a session there, and has patience for it.
func suite(t *testing.T) tunnels.Suite {
	t.Helper()
	probetest.Need(t, probe.WireGuard)
	return tunnels.Suite{Lab: newLab, Type: lab.WireGuard, Dataplane: kernel, Patience: 4 * patience, Soak: soak()}
}

func TestTunnelClear(t *testing.T)   { t.Parallel(); suite(t).Clear(t) }
func TestTunnelRotate(t *testing.T)  { t.Parallel(); suite(t).Rotate(t) }
func TestTunnelReload(t *testing.T)  { t.Parallel(); suite(t).Reload(t) }
func TestTunnelMembers(t *testing.T) { suite(t).Members(t) }
func TestTunnelSize(t *testing.T)    { suite(t).Size(t) }
func TestTunnelDSCP(t *testing.T)    { suite(t).DSCP(t) }
func TestTunnelMany(t *testing.T)    { suite(t).Many(t) }
