package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/secret"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inDir is a store in a directory that has a key file, with saves behind it.
func inDir(t *testing.T, saves int) (string, *Store) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	s, err := Open(dir, KeyFile(dir, ""))
	must(t, err)
	for n := range saves {
		must(t, s.Save(nth(n+1)))
	}
	return dir, s
}

func loads(t *testing.T, s *Store, want int) {
	t.Helper()
	c, err := s.Load()
	must(t, err)
	if got := number(t, c); got != want {
		t.Fatalf("loaded %d, want %d", got, want)
	}
}

// refusesAll wants a Load that takes nothing, for these reasons in the order
// of the files' generations.
func refusesAll(t *testing.T, s *Store, words string, kinds ...Kind) {
	t.Helper()
	_, err := s.Load()
	var r Refused
	if !errors.As(err, &r) {
		t.Fatalf("loaded, or %v", err)
	}
	refused(t, r, kinds...)
	if !strings.Contains(err.Error(), words) {
		t.Errorf("no %q in %v", words, err)
	}
}

func refused(t *testing.T, r []*Refusal, kinds ...Kind) {
	t.Helper()
	var got []Kind
	for _, f := range r {
		got = append(got, f.Kind)
	}
	if fmt.Sprint(got) != fmt.Sprint(kinds) {
		t.Errorf("refused as %v, want %v: %v", got, kinds, r)
	}
}

// newest is the path of the file with the greatest generation.
func newest(t *testing.T, dir string) string {
	t.Helper()
	all := Inspect(dir)
	if len(all) == 0 || all[0].Err != nil {
		t.Fatalf("%+v", all)
	}
	return all[0].File
}

func edit(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, f(b), 0o600))
}

func TestStore(t *testing.T) {
	dir, s := inDir(t, 0)
	if _, err := s.Load(); !errors.Is(err, ErrEmpty) {
		t.Fatalf("an empty store: %v", err)
	}
	for n := range 5 {
		must(t, s.Save(nth(n+1)))
		loads(t, s, n+1)
		refused(t, s.Refused())
	}
	must(t, s.Save(whole()))
	c, err := s.Load()
	must(t, err)
	if d := diff(whole(), c); d != "" {
		t.Error(d)
	}
	// What was given is still the caller's, and nothing is in clear.
	kept := whole()
	must(t, s.Save(kept))
	if d := diff(whole(), kept); d != "" {
		t.Error(d)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		if bytes.Contains(b, bytes.Repeat([]byte{7}, 8)) || bytes.Contains(b, []byte("link2")) {
			t.Errorf("%s is not encrypted", e.Name())
		}
	}
	if got := strings.Join(names, " "); got != "keys.generation keys.sealed.0 keys.sealed.1 seal.key" {
		t.Errorf("files %s", got)
	}
	at := Inspect(dir)[0]
	if at.Generation != 7 || !at.Time.Equal(whole().Time) || at.Sealer != WithFile {
		t.Errorf("%+v", at)
	}
}

func TestRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, dir string)
		words  string
		kinds  []Kind
	}{
		{"cut", func(t *testing.T, dir string) {
			edit(t, newest(t, dir), func(b []byte) []byte { return b[:len(b)-1] })
		}, "is torn", []Kind{Torn, RolledBack}},
		{"zeroes", func(t *testing.T, dir string) {
			edit(t, newest(t, dir), func(b []byte) []byte { return make([]byte, len(b)) })
		}, "does not begin like a file of sealed keys", []Kind{Torn, RolledBack}},
		{"both empty", func(t *testing.T, dir string) {
			for _, name := range Slots {
				edit(t, filepath.Join(dir, name), func([]byte) []byte { return nil })
			}
		}, "does not begin", []Kind{Torn, Torn}},
		{"a later format", func(t *testing.T, dir string) {
			edit(t, newest(t, dir), func(b []byte) []byte { b[9] = 2; return b })
		}, "has format version 2; this linkseal reads 1", []Kind{Version, RolledBack}},
		{"changed text", func(t *testing.T, dir string) {
			edit(t, newest(t, dir), func(b []byte) []byte {
				b = b[:len(b)-sumSize]
				b[len(b)-20] ^= 1
				return appendSum(b)
			})
		}, "does not authenticate", []Kind{Changed, RolledBack}},
		{"changed generation", func(t *testing.T, dir string) {
			edit(t, newest(t, dir), func(b []byte) []byte { b[17]++; return appendSum(b[:len(b)-sumSize]) })
		}, "does not authenticate", []Kind{Changed, RolledBack}},
		{"changed counter", func(t *testing.T, dir string) {
			edit(t, newest(t, dir), func(b []byte) []byte { b[33]++; return appendSum(b[:len(b)-sumSize]) })
		}, "names counter 0x1", []Kind{Changed, RolledBack}},
		{"mode", func(t *testing.T, dir string) { must(t, os.Chmod(newest(t, dir), 0o640)) },
			"has mode 0640; accepted: mode 0600 or stricter", []Kind{Access, RolledBack}},
		{"no file", func(t *testing.T, dir string) {
			path := newest(t, dir)
			must(t, os.Remove(path))
			must(t, os.Mkdir(path, 0o700))
		}, "is not a regular file", []Kind{Access, RolledBack}},
		{"too long", func(t *testing.T, dir string) { must(t, os.Truncate(newest(t, dir), maxFile+1)) },
			"has more than", []Kind{Access, RolledBack}},
		{"the newest gone", func(t *testing.T, dir string) { must(t, os.Remove(newest(t, dir))) },
			"has generation 1, and 2 has been written since: it is an old file", []Kind{RolledBack}},
		{"another key", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, KeyName), func(b []byte) []byte { b[0] ^= 1; return b })
		}, "sealed elsewhere: with the key of id", []Kind{Foreign, RolledBack}},
		{"no key", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, KeyName))) },
			"seal.key is gone", []Kind{Foreign, RolledBack}},
		{"a key for all to read", func(t *testing.T, dir string) { must(t, os.Chmod(filepath.Join(dir, KeyName), 0o644)) },
			"has mode 0644", []Kind{Withheld, RolledBack}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, s := inDir(t, 2)
			tc.change(t, dir)
			refusesAll(t, s, tc.words, tc.kinds...)
			if slices.Contains(tc.kinds, Withheld) {
				if err := s.Save(nth(9)); err == nil || !strings.Contains(err.Error(), tc.words) {
					t.Errorf("saved: %v", err)
				}
				return
			}
			// Keys that come from their source are saved all the same.
			must(t, s.Save(nth(9)))
			loads(t, s, 9)
		})
	}
}

// An old file in the place of the newest, of the former, of both.
func TestRolledBack(t *testing.T) {
	dir, s := inDir(t, 4)
	old := map[string][]byte{}
	for _, name := range Slots {
		b, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		old[name] = b
	}
	for n := range 3 {
		must(t, s.Save(nth(n+5)))
	}
	path := newest(t, dir)
	now, err := os.ReadFile(path)
	must(t, err)
	for name, b := range old {
		must(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	refusesAll(t, s, "it is an old file", RolledBack, RolledBack)
	must(t, os.WriteFile(path, now, 0o600))
	loads(t, s, 7)

	// Without its witness, or with an older one, a file is taken.
	for _, text := range []string{"", "x", "99999999999999999999999", "5\n"} {
		must(t, os.WriteFile(filepath.Join(dir, WitnessName), []byte(text), 0o600))
		loads(t, s, 7)
		if b, err := os.ReadFile(filepath.Join(dir, WitnessName)); err != nil || string(b) != "7\n" {
			t.Errorf("the witness is %q, %v", b, err)
		}
	}
}

func TestRolledBackByCounter(t *testing.T) {
	m := saved(t, true, 3)
	old := m.d.restarted()
	m.save(t, 4)
	m.save(t, 5)
	refusesAll(t, m.with(old).store(), "it is an old file", RolledBack, RolledBack)

	// A Save that ended before the counter: Load counts, and from then on the
	// file before is old.
	m = saved(t, true, 3)
	former := m.d.restarted()
	m.save(t, 4)
	m.c.counters[7]--
	if got := m.load(t); got != 4 {
		t.Fatalf("loaded %d", got)
	}
	refusesAll(t, m.with(former).store(), "it is an old file", RolledBack, RolledBack)

	m.c.counters[7] -= 3
	refusesAll(t, m.store(), "not the one that it was written with", RolledBack, RolledBack)
}

func TestCounterGone(t *testing.T) {
	m := saved(t, true, 3)
	delete(m.c.counters, 7)
	refusesAll(t, m.store(), "the counter that would prove it the newest is gone", RolledBack, RolledBack)
	m.save(t, 4)
	if got := m.load(t); got != 4 {
		t.Fatalf("loaded %d", got)
	}
}

func TestForeignChip(t *testing.T) {
	m := saved(t, true, 3)
	other := m.with(m.d.restarted())
	other.c.id = 2
	refusesAll(t, other.store(), "is another's", Foreign, RolledBack)
	other.save(t, 4)
	if got := other.load(t); got != 4 {
		t.Fatalf("loaded %d", got)
	}
	m.c.closed = true
	refusesAll(t, m.store(), "cannot be opened now", Withheld, RolledBack)
	if err := m.store().Save(nth(4)); !errors.Is(err, errBroken) {
		t.Errorf("saved: %v", err)
	}
}

// Where the sealer changes, nothing of the former one stays.
func TestAnotherSealer(t *testing.T) {
	dir, s := inDir(t, 4)
	path := filepath.Join(t.TempDir(), CredentialName)
	must(t, os.WriteFile(path, bytes.Repeat([]byte("k"), minKey), 0o400))
	moved, err := Open(dir, Credential(path))
	must(t, err)
	refusesAll(t, moved, "is sealed with: file, and keys are now sealed with: credential", Foreign, Foreign)
	must(t, moved.Save(nth(5)))
	loads(t, moved, 5)
	if at := Inspect(dir); len(at) != 1 || at[0].Sealer != WithCredential {
		t.Errorf("%+v", at)
	}
	refusesAll(t, s, "is sealed with: credential", Foreign)
}

// forgetful cannot unseal what it seals.
type forgetful struct{ Sealer }

func (forgetful) Unseal([]byte) (*secret.Key, error) { return nil, ErrWithheld }

// What cannot be opened does not take the place of what can.
func TestSaveVerifies(t *testing.T) {
	dir, s := inDir(t, 2)
	bad, err := Open(dir, forgetful{s.Sealer()})
	must(t, err)
	for range 3 {
		if err := bad.Save(nth(9)); !errors.Is(err, ErrWithheld) {
			t.Fatalf("saved: %v", err)
		}
	}
	loads(t, s, 2)
}

// Two stores on one directory, as two processes are: every Save is whole.
func TestTwoStores(t *testing.T) {
	dir, a := inDir(t, 1)
	b, err := Open(dir, KeyFile(dir, ""))
	must(t, err)
	done := make(chan error)
	for i, s := range []*Store{a, b} {
		go func() {
			for n := range 10 {
				if err := s.Save(nth(10*i + n + 1)); err != nil {
					done <- err
					return
				}
				c, err := s.Load()
				if err != nil {
					done <- err
					return
				}
				c.Zero()
			}
			done <- nil
		}()
	}
	must(t, errors.Join(<-done, <-done))
	if g := Inspect(dir)[0].Generation; g != 21 {
		t.Errorf("generation %d after 21 saves", g)
	}
}
