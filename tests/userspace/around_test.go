package userspace

import (
	"testing"

	"github.com/linkseal/linkseal/tests/lab"
)

// What routes lead past a tunnel goes nowhere.
func TestTunnelAround(t *testing.T) { t.Parallel(); suite(lab.WireGuard).Around(t) }
func TestIPsecAround(t *testing.T)  { t.Parallel(); suite(lab.IPsec).Around(t) }
