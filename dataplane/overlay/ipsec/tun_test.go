package ipsec

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A tun that is opened and not made yet has a line without a name.
func TestTunOf(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ file, text, want string }{
		{"1", "pos:\t0\nflags:\t0100002\n", ""},
		{"2", "pos:\t0\niff:\t\n", ""},
		{"3", "pos:\t0\niff:\tipsec0\n", "ipsec0"},
	} {
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		name, err := tunOf(dir)
		if name != c.want || (c.want == "") != errors.Is(err, errNoTun) {
			t.Errorf("with %s: %q, %v", c.file, name, err)
		}
	}
}

// What a charon lacks that has just started is there in a moment.
func TestNotTaken(t *testing.T) {
	start := time.Now()
	for _, c := range []struct {
		name   string
		age    time.Duration
		err    error
		after  time.Duration
		logged bool
	}{
		{"no tun yet", young - 1, errNoTun, soon, false},
		{"no tun", young, errNoTun, reload, true},
		{"else", 0, errNoPSK, reload, true},
	} {
		var said strings.Builder
		s := &Session{met: start, log: slog.New(slog.NewTextHandler(&said, nil))}
		now := start.Add(c.age)
		s.notTaken(now, c.err)
		if got := s.retry.Sub(now); got != c.after || s.wrong != c.err.Error() || (said.Len() > 0) != c.logged {
			t.Errorf("%s: again after %v, %q, log %q", c.name, got, s.wrong, said.String())
		}
	}
}
