package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the daemon refuses opens no port, be it for what is in no file.
func TestOpening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "linkseal.yaml")
	if cfg, err := opening(path); cfg != nil || err != nil {
		t.Errorf("without a configuration: %+v, %v", cfg, err)
	}
	const good = "version: 1\nname: ce\n" + onePort
	for text, want := range map[string]string{
		good: "",
		good + "control: {group: no-such-group}\n": "no-such-group",
		good + "nonsense: 1\n":                     "nonsense",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := opening(path)
		if cfg == nil || (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want %q", text, cfg, err, want)
		}
	}
}
