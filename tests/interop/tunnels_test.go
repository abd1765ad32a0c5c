package interop

import (
	"testing"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/tests/lab"
	"github.com/linkseal/linkseal/tests/tunnels"
)

// suite is the tests of tunnels, over the kernel's WireGuard or ESP. A change of
// PSK takes as long as a session of WireGuard there, and has patience for it.
func suite(t *testing.T, kind string) tunnels.Suite {
	t.Helper()
	if kind == lab.IPsec {
		probetest.Need(t, probe.XFRM, probe.XFRMI)
	} else {
		probetest.Need(t, probe.WireGuard)
	}
	return tunnels.Suite{Lab: newLab, Type: kind, Dataplane: kernel, Patience: 4 * patience, Soak: soak()}
}

func TestTunnelClear(t *testing.T)   { t.Parallel(); suite(t, lab.WireGuard).Clear(t) }
func TestTunnelRotate(t *testing.T)  { t.Parallel(); suite(t, lab.WireGuard).Rotate(t) }
func TestTunnelReload(t *testing.T)  { t.Parallel(); suite(t, lab.WireGuard).Reload(t) }
func TestTunnelMembers(t *testing.T) { suite(t, lab.WireGuard).Members(t) }
func TestTunnelSize(t *testing.T)    { suite(t, lab.WireGuard).Size(t) }
func TestTunnelDerived(t *testing.T) { t.Parallel(); suite(t, lab.WireGuard).Derived(t) }
func TestTunnelPath(t *testing.T)    { t.Parallel(); suite(t, lab.WireGuard).Path(t) }
func TestTunnelDSCP(t *testing.T)    { suite(t, lab.WireGuard).DSCP(t) }
func TestTunnelKilled(t *testing.T)  { t.Parallel(); suite(t, lab.WireGuard).Killed(t) }
func TestTunnelMany(t *testing.T)    { suite(t, lab.WireGuard).Many(t) }

func TestIPsecClear(t *testing.T)   { t.Parallel(); suite(t, lab.IPsec).Clear(t) }
func TestIPsecRotate(t *testing.T)  { t.Parallel(); suite(t, lab.IPsec).Rotate(t) }
func TestIPsecReload(t *testing.T)  { t.Parallel(); suite(t, lab.IPsec).Reload(t) }
func TestIPsecMembers(t *testing.T) { suite(t, lab.IPsec).Members(t) }
func TestIPsecSize(t *testing.T)    { suite(t, lab.IPsec).Size(t) }
func TestIPsecDerived(t *testing.T) { t.Parallel(); suite(t, lab.IPsec).Derived(t) }
func TestIPsecPath(t *testing.T)    { t.Parallel(); suite(t, lab.IPsec).Path(t) }
func TestIPsecDSCP(t *testing.T)    { suite(t, lab.IPsec).DSCP(t) }
