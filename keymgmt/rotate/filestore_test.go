package rotate

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

func TestFileStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.yaml")
	if err := os.WriteFile(path, []byte("keys:\n  - {ckn: aa, cak: 00112233445566778899aabbccddeeff, fallback: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := FileStore{Path: path, Rand: rand.Reader}
	o := course.Order{ID: strings.Repeat("0f", 16), Octets: 32, NotBefore: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	var caks []string
	for range 2 { // again finds what is there
		p, err := s.Write(t.Context(), o)
		if err != nil || p.ID != o.ID || p.CKN.String() != o.ID || !p.Whole || !p.NotBefore.Equal(o.NotBefore) || !p.Expires.IsZero() {
			t.Fatalf("%+v, %v", p, err)
		}
		c, err := file.Load(path)
		if err != nil || c.Len() != 2 || c.Find(p.CKN).CAK.Len() != 32 {
			t.Fatal(err)
		}
		caks = append(caks, c.Find(p.CKN).CAK.Fingerprint())
	}
	if caks[0] != caks[1] {
		t.Error("written again it has another CAK")
	}
	pairs, err := s.List(t.Context())
	if err != nil || len(pairs) != 2 || !pairs[0].Fallback || pairs[1].ID != o.ID || pairs[1].Owner != "" {
		t.Errorf("%+v, %v", pairs, err)
	}
	for range 2 {
		if err := s.Retire(t.Context(), "aa"); err != nil {
			t.Error(err)
		}
	}
	if err := s.Retire(t.Context(), o.ID); !errors.Is(err, course.ErrRefused) || !strings.HasPrefix(err.Error(), "key file ") {
		t.Errorf("the last key: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, list := s.List(t.Context())
	_, write := s.Write(t.Context(), course.Order{ID: strings.Repeat("0e", 16), Octets: 16})
	for _, err := range []error{list, write, s.Retire(t.Context(), "bb")} {
		if access := (*file.AccessError)(nil); !errors.Is(err, course.ErrRefused) || !errors.As(err, &access) {
			t.Error(err)
		}
	}
}

func TestDir(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "rotations"))
	if b, err := d.Load("link1"); b != nil || err != nil {
		t.Errorf("%s, %v", b, err)
	}
	for _, text := range []string{"one", "two"} {
		if err := d.Save("link1", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := d.Load("link1"); string(b) != text || err != nil {
			t.Errorf("%s, %v", b, err)
		}
	}
	all, err := os.ReadDir(string(d))
	if err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if err := os.Truncate(d.path("link1"), maxJournal+1); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Load("link1"); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Error(err)
	}
}

// A disk that refuses again and again says the same each time.
func TestSaveFails(t *testing.T) {
	d := Dir(t.TempDir())
	if err := os.MkdirAll(filepath.Join(d.path("link1"), "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	a, b := d.Save("link1", nil), d.Save("link1", nil)
	if a == nil || b == nil || a.Error() != b.Error() || !strings.Contains(a.Error(), d.path("link1")) {
		t.Errorf("%v, then %v", a, b)
	}
	if all, err := os.ReadDir(string(d)); err != nil || len(all) != 1 {
		t.Errorf("left: %v, %v", all, err)
	}
}
