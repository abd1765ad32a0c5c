package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

func newPSK(id, text string) keychain.PSK {
	if text != "" {
		return keychain.PSK{ID: id, Text: true, Secret: secret.New([]byte(text))}
	}
	return keychain.PSK{ID: id, Secret: secret.New([]byte(strings.Repeat("k", 32)))}
}

func TestPSKFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "psk.yaml")
	a := newPSK(`hub1: "a" # deadbeef00`, "")
	a.NotBefore, a.Expires = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	a.ExpiresHard, a.Fallback = true, true
	b := newPSK("0123", "correct deadbeef01 horse: # {no comment}")
	if err := CreatePSK(path, a); err != nil {
		t.Fatal(err)
	}
	if err := CreatePSK(path, b); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file is replaced: %v", err)
	}
	if err := AppendPSK(path, b); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || !keychain.Equal(c, &keychain.Keychain{PSKs: []keychain.PSK{b, a}}) {
		t.Errorf("read back %+v, %v", c, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := AppendPSK(path, newPSK("0123", "")); err == nil || !strings.Contains(err.Error(), "has PSK 0123 already; use another id") {
		t.Errorf("%v", err)
	}
	for range 2 {
		if err := RemovePSK(path, "0123"); err != nil {
			t.Error(err)
		}
	}
	if err := RemovePSK(path, a.ID); err == nil || !strings.Contains(err.Error(), "has no PSK but "+a.ID+"; add another") {
		t.Errorf("the last one: %v", err)
	}
	if c, err := Load(path); err != nil || len(c.PSKs) != 1 || c.PSKs[0].ID != a.ID {
		t.Errorf("%+v, %v", c, err)
	}
	alone(t, dir, "psk.yaml")
}

func TestPSKRefused(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"MACsec keys", good, "holds MACsec keys of a port; a PSK needs a keychain of its own"},
		{"flow list", "keys: [{id: a, psk_text: b}]\n", "cannot be extended in its style"},
		{"torn", "keys:\n  - id: a\n    psk: 00", "psk has 1 octets"},
	} {
		path := filepath.Join(t.TempDir(), "k.yaml")
		write(t, path, tc.text, 0o600)
		err := AppendPSK(path, newPSK("new", ""))
		if got, readErr := os.ReadFile(path); err == nil || !strings.Contains(err.Error(), tc.want) || readErr != nil || string(got) != tc.text {
			t.Errorf("%s: %v, %v, now %q", tc.name, err, readErr, got)
		}
		alone(t, filepath.Dir(path), "k.yaml")
	}
	path := filepath.Join(t.TempDir(), "k.yaml")
	for _, text := range []string{"a\"b", "a\\b", "a\nb", "ä"} {
		for _, do := range []func(string, keychain.PSK) error{CreatePSK, AppendPSK} {
			if err := do(path, newPSK("new", text)); err == nil || !strings.Contains(err.Error(), "PSK new: psk_text of other characters") || strings.Contains(err.Error(), text) {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
	write(t, path, "keys: [{id: a, psk_text: x},\n  {id: b, psk_text: y}]\n", 0o600)
	if err := RemovePSK(path, "a"); err == nil || !strings.Contains(err.Error(), "PSK a cannot be removed in its style") {
		t.Error(err)
	}
	if err := AppendPSK(filepath.Join(t.TempDir(), "absent"), newPSK("x", "")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// What is written of any PSK is read back as it was.
func TestPSKEntryProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Custom(func(t *rapid.T) time.Time {
			return time.Unix(rapid.Int64Range(1, 1<<33).Draw(t, "second"), 0).UTC()
		})
		p := keychain.PSK{ID: rapid.StringMatching(`[ -~]{1,40}|[0-9a-f]{32}|[0-9]{1,9}|true|null|[äöü ]{1,9}`).Draw(t, "id"), Fallback: rapid.Bool().Draw(t, "fallback")}
		octets := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "octets")
		if p.Text = rapid.Bool().Draw(t, "text"); p.Text {
			octets = []byte(rapid.StringMatching(`[ !#-\[\]-~]{1,80}|[0-9a-f]{64}`).Draw(t, "psk_text"))
		}
		p.Secret = secret.New(octets)
		if rapid.Bool().Draw(t, "starts") {
			p.NotBefore = at.Draw(t, "not_before")
		}
		if rapid.Bool().Draw(t, "ends") {
			p.Expires = p.NotBefore.Add(time.Hour)
			if p.NotBefore.IsZero() {
				p.Expires = at.Draw(t, "expires")
			}
			p.ExpiresHard = rapid.Bool().Draw(t, "hard")
		}
		c, err := Parse("k.yaml", joined([]byte("keys:\n"), entryPSK(p, "  ")))
		if err != nil || !keychain.Equal(c, &keychain.Keychain{PSKs: []keychain.PSK{p}}) {
			t.Fatalf("%+v: %v, %+v", p, err, c)
		}
	})
}
