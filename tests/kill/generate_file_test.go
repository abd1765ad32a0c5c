package kill

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/file"
)

// keysIn is how many keys a key file has: 0 where there is none. Anything but a
// whole file, or a folder without a file, ends the test.
func keysIn(t *testing.T, path string) int {
	t.Helper()
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		return 0
	}
	c, err := file.Load(path)
	check(t, err)
	defer c.Zero()
	return len(c.Keys)
}

// TestGenerateInFile kills keys generate before each system call that changes a
// file: whatever is there is whole, no key that was there is lost, and run again
// it makes one. A file that is there already --out does not replace: then it has
// the key.
func TestGenerateInFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to see what a process does that hides its memory")
	}
	for name, c := range map[string]struct {
		before int // keys
		out    bool
	}{"a new file": {0, true}, "the first key of a keychain": {0, false}, "a further key": {2, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var kills []string
			for n, reached := 1, true; reached; n++ {
				if !spread(n, 2) {
					continue
				}
				var at string
				if at, reached = generateDies(t, n, c.before, c.out); reached {
					kills = append(kills, at)
				}
			}
			if most := strings.Join(kills, ", "); !soak() && len(kills) < 2 || soak() && (!strings.Contains(most, "write keys/.") || !strings.Contains(most, "fsync keys/.")) {
				t.Errorf("killed before %s: there are more steps", most)
			}
			figure("keys generate, %s: killed before each of %d system calls: %s", name, len(kills), strings.Join(kills, ", "))
		})
	}
}

// generateDies kills the verb before its nth step, if it comes to that, and runs
// it again, with so many keys in its file.
func generateDies(t *testing.T, n, before int, out bool) (at string, reached bool) {
	t.Helper()
	bin, dir := linkseal(t), t.TempDir()
	keys, config := filepath.Join(dir, "keys", "link1.yaml"), filepath.Join(dir, "linkseal.yaml")
	check(t, os.WriteFile(config, fmt.Appendf(nil, `version: 1
keychains:
  link1: {source: file, path: %s}
ports:
  - {name: link1, device: eth1, interface: macsec1, keychain: link1}
`, keys), 0o600))
	argv := []string{bin, "keys", "generate", "link1", "--config", config}
	if out {
		check(t, os.Mkdir(filepath.Dir(keys), 0o700))
		argv = []string{bin, "keys", "generate", "--out", keys}
	}
	for range before {
		if r := run(t, nil, argv, nil); r.exit != 0 {
			t.Fatal(r)
		}
	}
	step := 0
	w, err := NewWatch(t.TempDir(), true, func(s Step) bool {
		if s.Path != filepath.Dir(keys) && filepath.Dir(s.Path) != filepath.Dir(keys) {
			return false
		}
		step++
		return step == n
	})
	check(t, err)
	watched, err := w.Argv(argv[0], argv[1:]...)
	check(t, err)
	r := run(t, nil, watched, nil)
	check(t, w.Close())
	killed := w.Killed()
	if len(killed) == 0 {
		if got := keysIn(t, keys); r.exit != 0 || got != before+1 {
			t.Fatalf("%d keys: %v", got, r)
		}
		return "", false
	}
	there := keysIn(t, keys)
	if r.exit != -1 || there < before || there > before+1 {
		t.Fatalf("killed before %v: %d keys, where %d were: %v", killed, there, before, r)
	}
	switch r = run(t, nil, argv, nil); {
	case out && there > 0:
		if r.exit != 1 || !strings.Contains(r.errs, "there already") || keysIn(t, keys) != there {
			t.Errorf("killed before %v, run again: %v", killed, r)
		}
	case r.exit != 0 || keysIn(t, keys) != there+1:
		t.Errorf("killed before %v, run again: %d keys: %v", killed, keysIn(t, keys), r)
	}
	alone(t, keys)
	return killed[0].String(), true
}

// alone demands that nothing is beside a file: what a writer that died has left
// has keys in it.
func alone(t *testing.T, path string) {
	t.Helper()
	check(t, filepath.WalkDir(filepath.Dir(path), func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && p != path {
			t.Errorf("%s is left", p)
		}
		return err
	}))
}
