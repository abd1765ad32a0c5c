package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/status"
)

// With a daemon, the list says what each key does on each port.
func TestKeysListAsksTheDaemon(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	for name, text := range map[string]string{"l.yaml": checkConfig + "control: {socket: " + socket + "}\n", "link1.yaml": goodKeys} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := status.Listen(socket, -1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- status.Serve(ctx, l, status.Daemon{Log: slog.New(slog.DiscardHandler), Snapshot: func() status.Status {
			return status.Status{Ports: []status.Port{
				{Name: "link1", Keychain: "link1", Participants: []status.Participant{
					{CKN: "01", Principal: true, Peers: []status.Peer{{Live: true}, {Live: false}}}}},
				// The same CKN of another keychain is another key.
				{Name: "link2", Keychain: "link2", Participants: []status.Participant{{CKN: "02", Principal: true}}},
			}, Tunnels: []status.Tunnel{{Name: "hub1", Keychains: []string{"hub1-psk"}, Members: []status.Member{
				{Live: true, KeyID: "a"}, {Live: true, KeyID: "a"}, {Live: true, KeyID: "b"}, {KeyID: "b"}, {Live: true}}}}}
		}})
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	list := func(args ...string) string {
		var out bytes.Buffer
		c := keysVerb()
		c.SetOut(&out)
		c.SetArgs(append([]string{"list", "--config", filepath.Join(dir, "l.yaml")}, args...))
		if err := c.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	lines := strings.Split(list(), "\n")
	for i, want := range []string{"keychain link1", "DAEMON", "no participant", "carries link1, 1 peer live"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d: %q, want %q", i+1, lines[i], want)
		}
	}
	use := daemonUse(t.Context(), socket)
	for id, want := range map[string]pskUse{"a": {"hub1", 2}, "b": {"hub1", 1}} {
		if got := use.byPSK[[2]string{"hub1-psk", id}]; len(got) != 1 || got[0] != want {
			t.Errorf("PSK %s: %+v", id, got)
		}
	}
	k := keyDocument{ID: "a", Tunnels: []pskUse{{"hub1", 2}}}
	if got := k.uses(keysDocument{Daemon: "running"}); got != "carries hub1, 2 members live" {
		t.Error(got)
	}
	if got := (keyDocument{ID: "c"}).uses(keysDocument{Daemon: "running"}); got != "not in use" {
		t.Error(got)
	}
	var doc keysDocument
	if err := json.Unmarshal([]byte(list("--json")), &doc); err != nil {
		t.Fatal(err)
	}
	keys := doc.Keychains[0].Keys
	if doc.Daemon != "running" || len(keys) != 2 || len(keys[0].Ports) != 0 || keys[0].Ports == nil || len(keys[1].Ports) != 1 ||
		keys[1].Ports[0] != (keyUse{Port: "link1", Principal: true, LivePeers: 1}) {
		t.Errorf("%+v", doc)
	}
}
