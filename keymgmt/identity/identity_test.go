package identity

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/sealed"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func TestMade(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "wg.key")
	seal := sealed.KeyFile(dir, "")
	if _, err := ReadPublic(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with no file: %v", err)
	}
	first, made, err := Open(path, Sealers{Now: seal})
	if err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range [][]byte{first.Private.Bytes(), []byte(base64.StdEncoding.EncodeToString(first.Private.Bytes()))} {
		if bytes.Contains(text, form) {
			t.Error("the key is in its file, unsealed")
		}
	}
	again, made, err := Open(path, Sealers{Now: seal})
	if err != nil || made || !again.Private.Equal(first.Private) || again.Public != first.Public {
		t.Errorf("made %v, %v; the same key: %v", made, err, again != nil && again.Public == first.Public)
	}
	if p, err := ReadPublic(path); err != nil || p != first.Public {
		t.Errorf("ReadPublic: %v, %v", p, err)
	}
	if p, err := ParsePublic(first.Public.String()); err != nil || p != first.Public {
		t.Errorf("ParsePublic: %v, %v", p, err)
	}
	if _, err := ParsePublic("AAAA"); err == nil {
		t.Error("a short public key is accepted")
	}
}

// Tunnels that share a file have one key.
func TestMadeOnce(t *testing.T) {
	dir := t.TempDir()
	publics := make([]Public, 8)
	var all sync.WaitGroup
	for i := range publics {
		all.Go(func() {
			p, _, err := Open(filepath.Join(dir, "wg.key"), Sealers{Now: sealed.KeyFile(dir, "")})
			if err != nil {
				t.Error(err)
				return
			}
			publics[i] = p.Public
		})
	}
	all.Wait()
	for _, p := range publics {
		if p != publics[0] {
			t.Fatal("two keys were made")
		}
	}
}

// wg(8) has the same of the same octets, either way.
func TestPlain(t *testing.T) {
	probetest.NeedTool(t, "wg")
	path := filepath.Join(t.TempDir(), "wg.key")
	made, _, err := Open(path, Sealers{})
	if err != nil {
		t.Fatal(err)
	}
	public := func() string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("wg", "pubkey")
		cmd.Stdin = bytes.NewReader(text)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	if got := public(); got != made.Public.String() {
		t.Errorf("wg pubkey says %s, we %s", got, made.Public)
	}
	key, err := exec.Command("wg", "genkey").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	theirs, was, err := Open(path, Sealers{})
	if err != nil || was || theirs.Public.String() != public() {
		t.Errorf("made %v, %v", was, err)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "wg.key")
	seal := sealed.KeyFile(dir, "")
	a, _, err := Open(path, Sealers{Now: seal})
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := Open(filepath.Join(dir, "other.key"), Sealers{Now: seal})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	if _, _, err := Open(filepath.Join(elsewhere, "x"), Sealers{Now: sealed.KeyFile(elsewhere, "")}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		text string
		mode os.FileMode
		seal sealed.Sealer
		says string
	}{
		{"others may read it", string(good), 0o640, seal, "0600"},
		{"empty", "", 0o600, seal, "wg genkey"},
		{"torn", string(good[:len(good)-10]), 0o600, seal, "not written whole"},
		{"torn at a line", string(good[:strings.LastIndex(string(good), "key:")]), 0o600, seal, "lines"},
		{"short", "AAAA\n", 0o600, seal, "wg genkey"},
		{"another public key", strings.Replace(string(good), a.Public.String(), other.Public.String(), 1), 0o600, seal, "another key"},
		{"sealed elsewhere", string(good), 0o600, sealed.KeyFile(elsewhere, ""), "remove the file"},
		{"another sealer", strings.Replace(string(good), "sealed: file", "sealed: tpm", 1), 0o600, seal, "sealed with: tpm"},
		{"no sealer", string(good), 0o600, nil, "nothing to open it with"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tc.text), tc.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}
			_, made, err := Open(path, Sealers{Now: tc.seal})
			if err == nil || made || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("made %v, %v; want %q", made, err, tc.says)
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != tc.text {
				t.Errorf("the file was changed, %v", err)
			}
		})
	}
}
