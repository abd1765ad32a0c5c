package trial

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// program is a linkseal that says what script does.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "linkseal")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheck(t *testing.T) {
	probetest.Need(t, probe.CapSysAdmin) // a mount namespace
	dir, place := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "linkseal.yaml"), []byte("staged"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		script string
		wrong  []string
		err    string
	}{
		"passes":   {`[ "$1 $2" = "check --config" ] && [ "$(cat "$3")" = staged ]`, nil, ""},
		"refused":  {`echo "$3:1:1: wrong; accepted: right" >&2; echo "    source" >&2; exit 1`, []string{place + "/linkseal.yaml:1:1: wrong; accepted: right"}, ""},
		"silent":   {"exit 1", nil, "said nothing"},
		"crashes":  {"echo oops; exit 3", []string{"oops"}, "exit status 3"},
		"flooding": {"yes xxxxxxxxxxxxxxx | head -c 10000000; exit 1", slices.Repeat([]string{"xxxxxxxxxxxxxxx"}, most/16), ""},
	} {
		t.Run(name, func(t *testing.T) {
			wrong, err := Check(t.Context(), program(t, c.script), dir, place, "linkseal.yaml")
			if !slices.Equal(wrong, c.wrong) || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%d lines, %v", len(wrong), err)
			}
		})
	}
	if left, err := os.ReadDir(place); err != nil || len(left) != 0 {
		t.Errorf("%v, %v: the staged directory is seen outside", left, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Check(ctx, program(t, "exec sleep 60"), dir, place, "linkseal.yaml"); err == nil {
		t.Error("it waits for ever")
	}
	if _, err := Check(t.Context(), program(t, "exit 0"), dir, filepath.Join(place, "none"), "linkseal.yaml"); err == nil {
		t.Error("it passes where the directory is missing")
	}
}

func TestDevices(t *testing.T) {
	const text = `version: 1
keychains: {k: {source: file, path: /k}}
ports:
  - {name: a, device: eth1, interface: macsec1, keychain: k}
  - {name: b, device: eth2, interface: macsec2, keychain: k}
tunnels:
  - {name: c, device: macsec1}
  - {name: d, device: eth3}
  - {name: e, device: eth1}
`
	if got := Devices("f", text); !slices.Equal(got, []string{"eth1", "eth2", "eth3"}) {
		t.Errorf("%q", got)
	}
	began := time.Now()
	Await(t.Context(), []string{"lo"}, time.Minute)
	if time.Since(began) > 30*time.Second {
		t.Error("it waits for what is there")
	}
	Await(t.Context(), []string{"lo", "none0"}, 100*time.Millisecond) // ends
}
