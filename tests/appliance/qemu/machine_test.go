package qemu

import (
	"os"
	"path/filepath"
	"regexp"
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

// A reset is another QEMU's boot on the same console, and no loss of power; what comes
// after the plug was pulled is none.
func TestReset(t *testing.T) {
	once := filepath.Join(t.TempDir(), "once")
	inPath(t, `read -r capabilities <&4 && echo '{"return": {}}' >&4
echo boot >&3
[ -e `+once+` ] && exec sleep 60
touch `+once+`
echo '{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}' >&4`)
	m := &Machine{Name: "m", Dir: t.TempDir()}
	if err := m.On(); err != nil {
		t.Fatal(err)
	}
	defer m.Cut()
	if err := m.AwaitReset(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if _, _, err := m.Console().Wait(t.Context(), n, regexp.MustCompile("^boot$")); err != nil {
			t.Fatal(err)
		}
	}
	if !m.Running() || m.Resets() != 1 {
		t.Errorf("after a reset: running %v, %d resets", m.Running(), m.Resets())
	}
	m.Cut()
	if m.Running() || m.Resets() != 1 {
		t.Errorf("after the plug was pulled: running %v, %d resets", m.Running(), m.Resets())
	}
	if err := m.AwaitReset(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "no power") {
		t.Error(err)
	}
}
