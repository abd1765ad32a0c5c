package rotate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const machine1, machine2 = "0123456789abcdef0123456789abcdef", "f123456789abcdef0123456789abcdef"

// owner is Owner where it may not fail.
func owner(t *testing.T, state, name, machine string) (is, former string) {
	t.Helper()
	is, former, err := Owner(state, name, machine)
	if err != nil || !strings.Contains(is, "/") || len(is)-strings.Index(is, "/") != 17 {
		t.Fatal(is, err)
	}
	return is, former
}

// A name and a machine may change, one at a time; both at once are a copy.
func TestOwner(t *testing.T) {
	dir := t.TempDir()
	a, _ := owner(t, dir, "ce-ams-1", machine1)
	if !strings.HasPrefix(a, "ce-ams-1/") {
		t.Error(a)
	}
	for _, c := range []struct{ what, name, machine, former string }{
		{"again", "ce-ams-1", machine1, ""},
		{"renamed", "ce-fra-7", machine1, ""},
		{"renamed, and restarted", "ce-fra-7", machine1, ""},
		{"named as before, on new hardware", "ce-ams-1", machine2, a},
		{"told once", "ce-ams-1", machine2, ""},
		{"a machine without an id", "ce-ams-1", "", ""},
		{"back, and renamed", "ce-fra-7", machine1, ""},
	} {
		if is, former := owner(t, dir, c.name, c.machine); is != a || former != c.former {
			t.Errorf("%s: %s, former %q, want %s, former %q", c.what, is, former, a, c.former)
		}
	}
	owner(t, dir, "ce-ams-1", machine2)
	if is, former := owner(t, dir, "ce-fra-7", machine2); is == a || former != a {
		t.Errorf("a copy that is renamed later: %s, former %q", is, former)
	}
	dir = t.TempDir()
	a, _ = owner(t, dir, "ce-ams-1", "")
	for _, name := range []string{"ce-ams-1", "ce-fra-7"} {
		if is, former := owner(t, dir, name, machine1); is != a || former != "" {
			t.Errorf("a machine that has an id now, called %s: %s, former %q, want %s", name, is, former, a)
		}
	}
	for _, machine := range []string{machine2, ""} {
		dir := t.TempDir()
		a, _ := owner(t, dir, "ce-ams-1", machine1)
		is, former := owner(t, dir, "ce-ams-2", machine)
		if is == a || former != a || !strings.HasPrefix(is, "ce-ams-2/") {
			t.Errorf("a copy: %s, former %q", is, former)
		}
		if again, former := owner(t, dir, "ce-ams-2", machine); again != is || former != "" {
			t.Errorf("a copy, again: %s, former %q, want %s", again, former, is)
		}
	}
	if other, _ := owner(t, t.TempDir(), "ce-ams-1", machine1); other == a {
		t.Error("another state directory is the same owner")
	}
}

func TestOwnerFile(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, ownerName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("00112233445566ff\n") // as it was first
	for range 2 {
		if is, _ := owner(t, dir, "ce-ams-1", machine1); is != "ce-ams-1/00112233445566ff" {
			t.Error(is)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, ownerName))
	if err != nil || strings.Contains(string(b), machine1) {
		t.Errorf("the machine's id is told: %s, %v", b, err)
	}
	for _, text := range []string{"x\n", "", "{}", `{"owner": "a/b"}`, `{"owner": "00112233445566ff"}`} {
		write(text)
		if is, _, err := Owner(dir, "ce-ams-1", machine1); err == nil || !strings.Contains(err.Error(), "16 hex digits") {
			t.Errorf("%q: %s, %v", text, is, err)
		}
	}
}
