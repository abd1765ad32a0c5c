package reconcile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A disk that refuses again and again says the same each time: it is told once.
func TestStateFileFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ports", "link1.json")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := PortState(dir, "link1")
	a, b := f.Save(nil), f.Save(nil)
	if a == nil || b == nil || a.Error() != b.Error() || !strings.Contains(a.Error(), path) {
		t.Errorf("%v, then %v", a, b)
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("left: %v, %v", all, err)
	}
}
