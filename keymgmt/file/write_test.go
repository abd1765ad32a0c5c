package file

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

func newKey(ckn string, octets int) keychain.Key {
	return keychain.Key{CKN: keychain.CKN(ckn), CAK: secret.New([]byte(strings.Repeat("k", octets)))}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "k.yaml")
	k := newKey("\x12\xe4", 32)
	k.NotBefore, k.Expires = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	k.ExpiresHard, k.Fallback = true, true
	if err := Create(path, k); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || !keychain.Equal(c, &keychain.Keychain{Keys: []keychain.Key{k}}) {
		t.Errorf("read back %+v, %v", c, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := Create(path, newKey("x", 16)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file is replaced: %v", err)
	}
	alone(t, dir, "k.yaml")
	if err := Create(filepath.Join(dir, "no", "k.yaml"), k); err == nil || !strings.Contains(err.Error(), "has no directory") {
		t.Errorf("%v", err)
	}
}

// alone checks that no temporary file is left.
func alone(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(names) {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
}

func TestAppend(t *testing.T) {
	for name, text := range map[string]string{
		"indented":    "# ours\nkeys:\n  - ckn: " + ckn1 + " # old\n    cak: " + cak16 + "\n",
		"flush":       "keys:\n- ckn: " + ckn1 + "\n  cak: " + cak16 + "\n",
		"deep":        "keys:\n      - ckn: " + ckn1 + "\n        cak: " + cak16 + "\n",
		"flow key":    "keys:\n  - {ckn: " + ckn1 + ", cak: " + cak16 + "}\n",
		"no newline":  "keys:\n  - ckn: " + ckn1 + "\n    cak: " + cak16,
		"blank lines": "---\n\nkeys:\n\n  - ckn: " + ckn1 + "\n    cak: " + cak16 + "\n\n# the end\n\n",
		"dash alone":  "keys:\n   -\n     ckn: " + ckn1 + "\n     cak: " + cak16 + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "k.yaml")
			write(t, path, text, 0o400)
			if err := Append(path, newKey("new", 16)); err != nil {
				t.Fatal(err)
			}
			c, err := Load(path)
			if err != nil || len(c.Keys) != 2 || c.Keys[0].CKN.String() != ckn1 || c.Keys[1].CKN != "new" {
				t.Fatalf("%+v, %v", c, err)
			}
			got, err := os.ReadFile(path)
			if err != nil || !strings.HasPrefix(string(got), text) {
				t.Errorf("what was there is changed: %q, %v", got, err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o400 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if err := Append(path, newKey("new", 16)); err == nil || !strings.Contains(err.Error(), "has CKN 6e6577 already") {
				t.Errorf("%v", err)
			}
			alone(t, dir, "k.yaml")
		})
	}
}

func TestAppendRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"flow list": "keys: [{ckn: 01, cak: " + cak16 + "}]\n",
		"torn":      "keys:\n  - ckn: 01\n    cak: 00",
		"PSKs":      "keys:\n  - {id: a, psk_text: b}\n",
		"ended":     "keys:\n  - ckn: 01\n    cak: " + cak16 + "\n...\n",
	} {
		path := filepath.Join(t.TempDir(), "k.yaml")
		write(t, path, text, 0o600)
		err := Append(path, newKey("new", 16))
		if got, readErr := os.ReadFile(path); err == nil || readErr != nil || string(got) != text {
			t.Errorf("%s: %v, %v, now %q", name, err, readErr, got)
		}
		alone(t, filepath.Dir(path), "k.yaml")
	}
	if err := Append(filepath.Join(t.TempDir(), "absent"), newKey("x", 16)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestAppendThroughLink(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "real"), good, 0o600)
	link := filepath.Join(dir, "k.yaml")
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	if err := Append(link, newKey("new", 16)); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != "real" {
		t.Errorf("the link is gone: %q, %v", to, err)
	}
	if c, err := Load(link); err != nil || len(c.Keys) != 2 {
		t.Errorf("%v", err)
	}
}

// Writers at the same time lose no key.
func TestAppendTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.yaml")
	write(t, path, good, 0o600)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := Append(path, newKey(string(rune('a'+i)), 16)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if c, err := Load(path); err != nil || len(c.Keys) != 9 {
		t.Errorf("%v", err)
	}
}

func TestSeenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "first-seen.json")
	seen, err := LoadSeen(path)
	if err != nil || len(seen) != 0 {
		t.Fatalf("%v, %v", seen, err)
	}
	at := time.Date(2026, 11, 1, 2, 3, 4, 5, time.UTC)
	seen["link1"] = keychain.Seen{ckn1: at}
	if err := SaveSeen(path, seen); err != nil {
		t.Fatal(err)
	}
	if back, err := LoadSeen(path); err != nil || !back["link1"][ckn1].Equal(at) {
		t.Errorf("%v, %v", back, err)
	}
	for _, text := range []string{"", "[]", "{\"a\": {\"b\": 1}}"} {
		write(t, path, text, 0o600)
		if back, err := LoadSeen(path); err == nil || back == nil || len(back) != 0 || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, %v", text, back, err)
		}
	}
	for _, text := range []string{"null", "{\"a\": null}"} {
		write(t, path, text, 0o600)
		back, err := LoadSeen(path)
		if err != nil || back == nil {
			t.Fatalf("%q: %v, %v", text, back, err)
		}
		if a, ok := back["a"]; ok && a == nil {
			t.Errorf("%q: a nil map to write to", text)
		}
	}
	alone(t, filepath.Dir(path), "first-seen.json")
}

// killed is the child of TestKilled: it adds keys until it is killed.
const killed = "LINKSEAL_TEST_ADD_KEYS_TO"

// A writer that is killed leaves no copy of the keys beside the file: not for
// longer than until the next write.
func TestKilled(t *testing.T) {
	if path := os.Getenv(killed); path != "" {
		for i := 0; ; i = (i + 1) % 2 {
			if i == 0 {
				Append(path, newKey("new", 16))
			} else {
				Remove(path, "new")
			}
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "k.yaml")
	if err := Create(path, newKey("old", 16)); err != nil {
		t.Fatal(err)
	}
	for left, tries := 1, 0; left < 2; tries++ {
		if tries == 500 {
			t.Fatal("no kill met a write")
		}
		c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		c.Env = append(os.Environ(), killed+"="+path)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for writing := false; !writing; {
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			writing = len(entries) > 1
		}
		c.Process.Kill()
		c.Wait()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		left = len(entries)
	}
	if err := Append(path, newKey("newer", 16)); err != nil {
		t.Fatal(err)
	}
	alone(t, dir, "k.yaml")
}
