package file

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

const cak0 = "00112233445566778899aabbccddeeff"

func TestRemove(t *testing.T) {
	for _, tc := range []struct{ name, before, after string }{
		{"the first", `# mine
keys:
  # old
  - ckn: 01
    cak: CAK   # of last year
    expires: 2027-01-01T00:00:00Z

  # new
  - ckn: 02
    cak: CAK
`, `# mine
keys:
  # old

  # new
  - ckn: 02
    cak: CAK
`},
		{"the last, with text after it", "keys:\n  - {ckn: 02, cak: CAK}\n  - {ckn: 01, cak: CAK}\n# end\n", "keys:\n  - {ckn: 02, cak: CAK}\n# end\n"},
		{"in the middle, without an indent", "keys:\n- ckn: 02\n  cak: CAK\n- ckn: \"01\"\n\n  # inside\n  cak: CAK\n- ckn: 03\n  cak: CAK\n", "keys:\n- ckn: 02\n  cak: CAK\n- ckn: 03\n  cak: CAK\n"},
		{"a dash on a line of its own", "keys:\n  -\n    cak: CAK\n    ckn: 01\n  -\n    ckn: 02\n    cak: CAK", "keys:\n  -\n    ckn: 02\n    cak: CAK"},
		{"it is not there", "keys:\n  - {ckn: 02, cak: CAK}\n", "keys:\n  - {ckn: 02, cak: CAK}\n"},
	} {
		path := filepath.Join(t.TempDir(), "k.yaml")
		put := strings.NewReplacer("CAK", cak0)
		if err := os.WriteFile(path, []byte(put.Replace(tc.before)), 0o400); err != nil {
			t.Fatal(err)
		}
		if err := Remove(path, "\x01"); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(put.Replace(tc.after), string(got)); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o400 {
			t.Errorf("%s: %v, %v", tc.name, info.Mode(), err)
		}
	}
}

func TestRemoveRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"keys:\n  - {ckn: 01, cak: CAK}\n":                         "has no key but CKN 01; add another",
		"keys: [{ckn: 01, cak: CAK},\n  {ckn: 02, cak: CAK}]\n":    "cannot be removed in its style",
		"keys:\n  - {ckn: 01, cak: CAK}\n  - {ckn: 02, cak: zz}\n": "cak has other characters",
	} {
		path := filepath.Join(t.TempDir(), "k.yaml")
		text = strings.ReplaceAll(text, "CAK", cak0)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := Remove(path, "\x01")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), cak0) {
			t.Errorf("%v, want %s", err, want)
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("it was changed to %s", got)
		}
	}
	if err := Remove(filepath.Join(t.TempDir(), "none"), "\x01"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// What was appended in any order is taken out in any order, and what is written
// around it stays.
func TestWithoutProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keep := "# top\nkeys:\n  # kept\n  - ckn: ffff # for ever\n    cak: " + cak0 + "\n"
		text := []byte(keep)
		var ckns []keychain.CKN
		for i := range rapid.IntRange(1, 5).Draw(t, "keys") {
			k := keychain.Key{CKN: keychain.CKN(rune('a' + i)), CAK: secret.New([]byte(strings.Repeat(string(rune('a'+i)), 16))), Fallback: rapid.Bool().Draw(t, "fallback")}
			text = joined(text, entry(k, indent(text)))
			k.CAK.Zero()
			ckns = append(ckns, k.CKN)
		}
		for i, ckn := range rapid.Permutation(ckns).Draw(t, "order") {
			before, err := Parse("k.yaml", bytes.Clone(text))
			if err != nil {
				t.Fatal(err)
			}
			text = without(text, before.Find(ckn).Origin.Line)
			after, err := Parse("k.yaml", bytes.Clone(text))
			if err != nil || !onlyRemoves(before, after, ckn) || after.Len() != len(ckns)-i {
				t.Fatalf("%v after %d of %d were taken out: %s", err, i+1, len(ckns), text)
			}
			before.Zero()
			after.Zero()
		}
		if string(text) != keep {
			t.Fatalf("left is %s", text)
		}
	})
}
