package ipsec

import (
	"flag"
	"os"
	"testing"

	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// TestMain has more tests run at once than there are processors: they wait for
// two charons each. In the guest they run one after the other.
func TestMain(m *testing.M) {
	flag.Parse()
	if !probetest.InGuest() {
		flag.Set("test.parallel", "8")
	}
	os.Exit(m.Run())
}
