package source

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What udev has not named yet is named once it has settled; a machine that is
// provisioned waits for nothing.
func TestAttached(t *testing.T) {
	root := t.TempDir()
	labels, device := filepath.Join(root, "dev/disk/by-label"), filepath.Join(root, "dev/vdb")
	if err := os.MkdirAll(labels, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	settle := func() error { return os.Symlink("../../vdb", filepath.Join(labels, "CIDATA")) }
	if got, err := Attached(root, false, settle); err != nil || len(got) != 0 {
		t.Errorf("provisioned: %q, %v", got, err)
	}
	if got, err := Attached(root, true, settle); err != nil || !slices.Equal(got, []string{device}) {
		t.Errorf("fresh: %q, %v", got, err)
	}
	// What is there is taken all the same.
	got, err := Attached(root, true, func() error { return errors.New("timed out") })
	if err == nil || !strings.Contains(err.Error(), "timed out") || !slices.Equal(got, []string{device}) {
		t.Errorf("udev is stuck: %q, %v", got, err)
	}
}
