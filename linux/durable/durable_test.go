package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func only(t *testing.T, dir string, want ...string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(want) {
		t.Fatalf("%d files, want %q: %v", len(all), want, all)
	}
	for i, e := range all {
		if e.Name() != want[i] {
			t.Errorf("%s, want %s", e.Name(), want[i])
		}
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	// A writer has died in the middle.
	if err := os.WriteFile(filepath.Join(dir, ".state.new"), []byte("longer than what comes"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "then", ""} {
		if err := Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		if err != nil || string(got) != text || info.Mode() != 0o600 {
			t.Errorf("%q, mode %v, %v; want %q", got, info.Mode(), err, text)
		}
		only(t, dir, "state")
	}
}

// What cannot be replaced stays, nothing is left beside it, and the same cause
// has the same text.
func TestFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	first := Write(path, []byte("x"))
	again := Write(path, []byte("y"))
	if first == nil || again == nil || first.Error() != again.Error() {
		t.Errorf("%v, then %v", first, again)
	}
	only(t, dir, "state")
	if err := Write(filepath.Join(dir, "none", "state"), nil); err == nil {
		t.Error("written where there is no directory")
	}
}

// Who can make a link in the directory does not have another file written.
func TestLink(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("other", filepath.Join(dir, ".state.new")); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "state"), []byte("x")); err == nil {
		t.Error("a link was followed")
	}
	if got, err := os.ReadFile(other); err != nil || string(got) != "mine" {
		t.Errorf("%q, %v", got, err)
	}
}
