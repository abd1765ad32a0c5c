package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onePort is the rest of a configuration that passes.
const onePort = "keychains: {k: {source: file, path: /nowhere.yaml}}\nports: [{name: link1, device: eth1, interface: macsec1, keychain: k}]\n"

// A refused file is no reason to start again and again; one that is not there, or is
// refused by hand, is a failure as any.
func TestRunRefused(t *testing.T) {
	dir := t.TempDir()
	wrong := filepath.Join(dir, "linkseal.yaml")
	if err := os.WriteFile(wrong, []byte("version: 1\nnonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := filepath.Join(dir, "nobody.yaml")
	if err := os.WriteFile(nobody, []byte("version: 1\nname: ce\ncontrol: {group: no-such-group}\n"+onePort), 0o600); err != nil {
		t.Fatal(err)
	}
	manager := filepath.Join(dir, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: manager, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		manager, path string
		want          int
	}{{"", wrong, 1}, {manager, wrong, 78}, {manager, nobody, 78}, {manager, filepath.Join(dir, "none"), 1}} {
		t.Setenv("NOTIFY_SOCKET", c.manager)
		var said bytes.Buffer
		if got := execute([]string{"run", "--config", c.path}, io.Discard, &said); got != c.want || !strings.Contains(said.String(), c.path) || c.path == nobody && !strings.Contains(said.String(), "no-such-group") {
			t.Errorf("manager %q, file %s: status %d, %q; want %d", c.manager, c.path, got, &said, c.want)
		}
	}
	b := make([]byte, 256)
	n, err := l.Read(b)
	if err != nil || !strings.HasPrefix(string(b[:n]), "STATUS=the configuration is refused") {
		t.Errorf("the service manager was told %q, %v", b[:n], err)
	}
}
