package interop

import (
	"testing"

	"github.com/linkseal/linkseal/tests/lab"
)

// What routes lead past a tunnel goes nowhere.
func TestTunnelAround(t *testing.T) { t.Parallel(); suite(t, lab.WireGuard).Around(t) }
func TestIPsecAround(t *testing.T)  { t.Parallel(); suite(t, lab.IPsec).Around(t) }
