package userspace

import (
	"testing"

	"github.com/linkseal/linkseal/tests/lab"
	"github.com/linkseal/linkseal/tests/tunnels"
)

// suite is the tests of tunnels, over WireGuard in linkseal's own process.
func suite() tunnels.Suite {
	return tunnels.Suite{Lab: newLab, Type: lab.WireGuard, Dataplane: "userspace", Patience: patience, Soak: soak()}
}

func TestTunnelClear(t *testing.T)   { t.Parallel(); suite().Clear(t) }
func TestTunnelRotate(t *testing.T)  { t.Parallel(); suite().Rotate(t) }
func TestTunnelReload(t *testing.T)  { t.Parallel(); suite().Reload(t) }
func TestTunnelMembers(t *testing.T) { suite().Members(t) }
func TestTunnelSize(t *testing.T)    { suite().Size(t) }
func TestTunnelDSCP(t *testing.T)    { suite().DSCP(t) }
func TestTunnelMany(t *testing.T)    { suite().Many(t) }
