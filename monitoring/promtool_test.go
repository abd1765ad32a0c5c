package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// promtool runs it in dir, and fails the test with what it says.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(cache, "linkseal", "promtool") // tests/promtool puts it there
	}
	c := exec.Command(path, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); os.IsNotExist(err) {
		t.Fatalf("%v; run make promtool", err)
	} else if err != nil {
		t.Fatalf("promtool %q: %v\n%s", args, err, out)
	}
}
