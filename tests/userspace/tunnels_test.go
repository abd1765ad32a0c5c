package userspace

import (
	"testing"

	"github.com/linkseal/linkseal/tests/lab"
	"github.com/linkseal/linkseal/tests/tunnels"
)

// suite is the tests of tunnels, over WireGuard in linkseal's own process, or
// IPsec in charon's.
func suite(kind string) tunnels.Suite {
	return tunnels.Suite{Lab: newLab, Type: kind, Dataplane: "userspace", Patience: patience, Soak: soak()}
}

func TestTunnelClear(t *testing.T)   { t.Parallel(); suite(lab.WireGuard).Clear(t) }
func TestTunnelRotate(t *testing.T)  { t.Parallel(); suite(lab.WireGuard).Rotate(t) }
func TestTunnelReload(t *testing.T)  { t.Parallel(); suite(lab.WireGuard).Reload(t) }
func TestTunnelMembers(t *testing.T) { suite(lab.WireGuard).Members(t) }
func TestTunnelSize(t *testing.T)    { suite(lab.WireGuard).Size(t) }
func TestTunnelDerived(t *testing.T) { t.Parallel(); suite(lab.WireGuard).Derived(t) }
func TestTunnelPath(t *testing.T)    { t.Parallel(); suite(lab.WireGuard).Path(t) }
func TestTunnelDSCP(t *testing.T)    { suite(lab.WireGuard).DSCP(t) }
func TestTunnelKilled(t *testing.T)  { t.Parallel(); suite(lab.WireGuard).Killed(t) }
func TestTunnelMany(t *testing.T)    { suite(lab.WireGuard).Many(t) }

// Of IPsec there is one tunnel with one member in user space: charon has one tun.
func TestIPsecClear(t *testing.T)   { t.Parallel(); suite(lab.IPsec).Clear(t) }
func TestIPsecRotate(t *testing.T)  { t.Parallel(); suite(lab.IPsec).Rotate(t) }
func TestIPsecReload(t *testing.T)  { t.Parallel(); suite(lab.IPsec).Reload(t) }
func TestIPsecSize(t *testing.T)    { suite(lab.IPsec).Size(t) }
func TestIPsecDerived(t *testing.T) { t.Parallel(); suite(lab.IPsec).Derived(t) }
func TestIPsecPath(t *testing.T)    { t.Parallel(); suite(lab.IPsec).Path(t) }
func TestIPsecDSCP(t *testing.T)    { suite(lab.IPsec).DSCP(t) }
