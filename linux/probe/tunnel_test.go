package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is missing of charon is named.
func TestLookCharon(t *testing.T) {
	dir := t.TempDir()
	program, plugins := filepath.Join(dir, "charon"), filepath.Join(dir, "plugins")
	look := func() (string, error) {
		return lookCharon([]string{filepath.Join(dir, "other"), program}, []string{filepath.Join(dir, "none"), plugins}, []string{"vici", "nonce", "openssl"})()
	}
	touch := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	want := func(part string) {
		t.Helper()
		if _, err := look(); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want %q in it", err, part)
		}
	}
	want("there is none of ")
	touch(program, 0o600)
	want("there is none of ") // it cannot be run
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	touch(filepath.Join(plugins, "libstrongswan-nonce.so"), 0o644)
	want("has no plugin vici, openssl in ")
	for _, p := range []string{"vici", "openssl"} {
		touch(filepath.Join(plugins, "libstrongswan-"+p+".so"), 0o644)
	}
	if text, err := look(); err != nil || text != program+" is there, with what it needs of plugins" {
		t.Errorf("%q, %v", text, err)
	}
}
