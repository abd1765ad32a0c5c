package rotate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// counted demands that the rotations of link1, the only keychain, ended so.
func counted(t *testing.T, r *Rotator, want Results) {
	t.Helper()
	if d := cmp.Diff(map[string]Results{"link1": want}, r.Results()); d != "" {
		t.Errorf("results (-want +got):\n%s", d)
	}
}
