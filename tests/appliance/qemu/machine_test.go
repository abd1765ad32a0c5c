package qemu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inPath has a shell script be QEMU.
func inPath(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "qemu-system-x86_64"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// Each failure is told in QEMU's words of that boot, however much it said in others.
func TestWhyItDidNotStart(t *testing.T) {
	m := &Machine{Name: "m", Dir: t.TempDir()}
	for _, c := range []struct{ script, want, not string }{
		{"printf 'the first %8192s' and the last >&2; exit 1", "the first", "the second"},
		{"echo the second >&2; exit 1", "the second", "the first"},
	} {
		inPath(t, c.script)
		err := m.On()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), c.not) {
			t.Errorf("%s: %v", c.script, err)
		}
		if m.Running() {
			t.Errorf("%s: it runs", c.script)
		}
	}
}
