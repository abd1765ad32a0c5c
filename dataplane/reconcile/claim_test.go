package reconcile

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/linkseal/linkseal/linux/netns"
)

func TestClaim(t *testing.T) {
	ns, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	dir := filepath.Join(t.TempDir(), "run")
	claim := func() (*Kernel, error) {
		k := &Kernel{ns: ns}
		return k, k.Claim(dir)
	}
	first, err := claim()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claim(); !errors.Is(err, ErrClaimed) {
		t.Errorf("second: %v, want ErrClaimed", err)
	}
	if err := first.claim.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := claim()
	if err != nil {
		t.Fatalf("after the first ended: %v", err)
	}
	again.claim.Close()
	if err := (&Kernel{ns: ns}).Claim("/dev/null/run"); err == nil || errors.Is(err, ErrClaimed) {
		t.Errorf("no directory: %v", err)
	}
}
