package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const good = "keys:\n  - ckn: " + ckn1 + "\n    cak: " + cak16 + "\n"

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestLoadMode(t *testing.T) {
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o700: false, 0o644: false, 0o660: false} {
		path := filepath.Join(t.TempDir(), "k.yaml")
		write(t, path, good, mode)
		c, err := Load(path)
		if (err == nil) != ok {
			t.Errorf("mode %o: %v", mode, err)
		}
		var refused *AccessError
		if !ok && (!errors.As(err, &refused) || !strings.Contains(err.Error(), "0600 or stricter") || !strings.Contains(err.Error(), path) || refused.Err != nil) {
			t.Errorf("mode %o: %v", mode, err)
		}
		if ok && len(c.Keys) != 1 {
			t.Errorf("mode %o: %d keys", mode, len(c.Keys))
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := unix.Mkfifo(path("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, path("long"), strings.Repeat("#", 1<<20+1), 0o600)
	write(t, path("open"), good, 0o644)
	if err := os.Symlink(path("open"), path("link-to-open")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"absent": "cannot be opened: no such file or directory", "fifo": "is not a regular file", ".": "is not a regular file",
		"long": "more than 1048576 octets", "link-to-open": "has mode 0644",
	} {
		if _, err := Load(path(name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if _, err := Load(path("absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
}

func TestLoadOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to give a file away needs root")
	}
	path := filepath.Join(t.TempDir(), "k.yaml")
	write(t, path, good, 0o600)
	if err := os.Chown(path, 4242, 4242); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "belongs to user 4242; accepted: owner root or user 0") {
		t.Errorf("%v", err)
	}
}

// As Kubernetes mounts a secret: name -> ..data/name -> ..2026/name.
func TestLoadThroughLinks(t *testing.T) {
	path, _ := mounted(t)
	if c, err := Load(path); err != nil || len(c.Keys) != 1 {
		t.Errorf("%v", err)
	}
}

func mounted(t *testing.T) (path, dir string) {
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "..1"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "..1", "k.yaml"), good, 0o400)
	if err := errors.Join(os.Symlink("..1", filepath.Join(dir, "..data")), os.Symlink("..data/k.yaml", filepath.Join(dir, "k.yaml"))); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "k.yaml"), dir
}
