package ipsec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay"
)

// program is a charon that is started by a script.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "charon-systemd") // by which its settings go
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// A charon that does not start, or lacks what we need, is told of with its own
// words, and started again until it does; meanwhile nothing is in clear.
func TestCharonDoesNotStart(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	p.load(setup{secrets: []string{"one"}})
	dir := shortDir(t)
	real, err := Program()
	if err != nil {
		t.Fatal(err)
	}
	ready := filepath.Join(t.TempDir(), "ready")
	path := program(t, "[ -e "+ready+" ] || { echo no such luck >&2; exit 3; }\nexec "+real)
	good := settings("charon-systemd", dir, w.userspace)
	o := CharonOptions{Dir: dir, Userspace: w.userspace, NS: w.ours, Log: logger(t)}
	start := func(path, conf string) (*Charon, *Session) {
		c, err := newCharon(o, path, conf)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(); Stray(dir) })
		return c, w.open(c, w.tunnel(), psks([2]string{"k1", "one"}))
	}
	told := func(s *Session, parts ...string) {
		t.Helper()
		waitFor(t, 15*time.Second, "it says "+strings.Join(parts, ", "), func() bool {
			v := s.View()
			for _, part := range parts {
				if !strings.Contains(v.Problem, part) {
					return false
				}
			}
			return v.State == overlay.Down && v.Remedy != ""
		})
	}
	clear := w.clear()
	c, s := start(real, strings.Replace(good, " openssl ", " ", 1))
	told(s, "this machine's charon does not do", "has no plugin openssl", "install libstrongswan-standard-plugins")
	s.Close()
	c.Close()
	if err := Stray(dir); err != nil {
		t.Fatal(err)
	}
	_, s = start(path, good)
	told(s, "start "+path, "it ended: exit status 3: no such luck")
	if err := os.WriteFile(ready, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.secured(s)
	if n := clear(); n > 0 {
		t.Errorf("%d packets of what is protected were in clear", n)
	}
	if i, err := os.Stat(dir); err != nil || i.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", i, err)
	}
}

func TestLacks(t *testing.T) {
	all := strings.Fields(plugins + " kernel-netlink socket-default vici")
	for _, tc := range []struct {
		version   string
		have      []string
		userspace bool
		want      string
	}{
		{"5.9.8", all, false, ""},
		{"5.9.1", all, false, ""},
		{"6.0.1", append([]string{"kernel-libipsec"}, all...), true, ""},
		{"5.9.8", all, true, "has no plugin kernel-libipsec"},
		{"5.8.4", all, false, `it is strongSwan "5.8.4"; accepted: 5.9 or newer`},
		{"x", all, false, `it is strongSwan "x"`},
		{"5.9.8", nil, false, "has no plugin nonce"},
	} {
		err := lacks(tc.version, tc.have, tc.userspace)
		if (err == nil) != (tc.want == "") || err != nil && (!errors.Is(err, errLacks) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}
