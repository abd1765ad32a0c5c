package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func made(t *testing.T, files map[string]string) *bundle.Bundle {
	t.Helper()
	b := &bundle.Bundle{}
	for name, text := range files {
		if err := b.Add(name, 0, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

var (
	first  = map[string]string{bundle.Config: "first", "/etc/linkseal/keys/a.yaml": "key a", "/etc/systemd/network/10.network": "net", bundle.AuthorizedKeys: "ssh"}
	second = map[string]string{bundle.Config: "second", "/etc/linkseal/keys/b.yaml": "key b", bundle.AuthorizedKeys: "ssh 2"}
)

// state is what is installed below root, by path, without what the store keeps.
func state(t *testing.T, root string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel := strings.TrimPrefix(path, root)
		if err != nil || d.IsDir() || strings.HasPrefix(rel, Base) {
			return err
		}
		text, err := os.ReadFile(path)
		info, _ := d.Info()
		all = append(all, fmt.Sprintf("%s %s %s", rel, info.Mode(), text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

func install(t *testing.T, s *Store, b *bundle.Bundle) error {
	t.Helper()
	if _, err := s.Stage(b, Record{Source: "test", At: time.Unix(1, 0)}); err != nil {
		return err
	}
	return s.Commit()
}

func TestInstall(t *testing.T) {
	s := &Store{Root: t.TempDir()}
	if err := install(t, s, made(t, first)); err != nil {
		t.Fatal(err)
	}
	const want = "/etc/linkseal/keys/a.yaml -rw------- key a\n/etc/linkseal/linkseal.yaml -rw------- first\n/etc/systemd/network/10.network -rw-r--r-- net\n/var/etc/ssh/authorized_keys -rw------- ssh"
	if got := state(t, s.Root); got != want {
		t.Errorf("installed:\n%s\nwant:\n%s", got, want)
	}
	r, err := s.Record()
	if err != nil || r.Source != "test" || r.Digest != made(t, first).Digest() || !r.Config() {
		t.Errorf("%+v, %v", r, err)
	}
	// The next has other files: those of the first are gone.
	if err := install(t, s, made(t, second)); err != nil {
		t.Fatal(err)
	}
	if got := state(t, s.Root); strings.Contains(got, "a.yaml") || strings.Contains(got, "10.network") || !strings.Contains(got, "key b") {
		t.Errorf("then:\n%s", got)
	}
	left, err := os.ReadDir(filepath.Join(s.Root, Base))
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v: more than the record is left", left, err)
	}
}

// A device of networkd's own may have a key in its file.
func TestInstallNetdev(t *testing.T) {
	probetest.Need(t, probe.CapSysAdmin) // a file's group is given away
	s := &Store{Root: t.TempDir()}
	const path = "/etc/systemd/network/20-wg.netdev"
	if err := install(t, s, made(t, map[string]string{bundle.Config: "first", path: "key"})); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(s.Root, path))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("%v, %v", info, err)
	}
	want := 0
	if group, err := user.LookupGroup("systemd-network"); err == nil {
		want, _ = strconv.Atoi(group.Gid)
	}
	if got := info.Sys().(*syscall.Stat_t).Gid; int(got) != want {
		t.Errorf("its group is %d, want networkd's %d", got, want)
	}
}

// The power goes at each moment of the second installation, and again at each
// moment of what the next start does: it is the first or the second.
func TestPowerCut(t *testing.T) {
	whole := func(files ...map[string]string) string {
		s := &Store{Root: t.TempDir()}
		for _, f := range files {
			if err := install(t, s, made(t, f)); err != nil {
				t.Fatal(err)
			}
		}
		return state(t, s.Root)
	}
	before, after := whole(first), whole(first, second)
	power := errors.New("the power went")
	cutAt := func(n int) func(string) error {
		return func(string) error {
			if n--; n < 0 {
				return power
			}
			return nil
		}
	}
	olds, news, cuts := 0, 0, 0
	for n := 0; ; n++ {
		ended := false
		for m := 0; ; m++ {
			s := &Store{Root: t.TempDir()}
			if err := install(t, s, made(t, first)); err != nil {
				t.Fatal(err)
			}
			s.cut = cutAt(n)
			err := install(t, s, made(t, second))
			if ended = err == nil; err != nil && !errors.Is(err, power) {
				t.Fatal(err)
			}
			s.cut = cutAt(m)
			_, again := s.Finish()
			s.cut = nil
			if _, err := s.Finish(); err != nil {
				t.Fatal(err)
			}
			switch got := state(t, s.Root); got {
			case before:
				olds++
			case after:
				news++
			default:
				t.Errorf("cut at %d and %d:\n%s", n, m, got)
			}
			if cuts++; again == nil {
				break
			}
		}
		if ended {
			break
		}
	}
	if olds == 0 || news < 10 {
		t.Errorf("%d cuts: %d old, %d new", cuts, olds, news)
	}
	t.Logf("%d cuts: %d times the old state, %d times the new", cuts, olds, news)
}

// A record that names what nobody may remove is no record.
func TestRecordRefused(t *testing.T) {
	s := &Store{Root: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(s.Root, Base), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`{"files": ["/etc/linkseal/../shadow"]}`, `{"files": ["x"]}`, `{`} {
		if err := os.WriteFile(filepath.Join(s.Root, Base, "provisioned.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Record(); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

// What takes effect with no file does before the commit is gone, which the daemon waits
// for; what fails is done again, and says what it is.
func TestInstalledFirst(t *testing.T) {
	s := &Store{Root: t.TempDir()}
	failure := errors.New("not now")
	called := 0
	s.Installed = func() error {
		called++
		if r, err := s.Pending(); err != nil || r.Source != "test" {
			t.Errorf("pending: %+v, %v", r, err)
		}
		if ok, err := s.Has(bundle.Config); !ok || err != nil {
			t.Errorf("it is not installed yet: %v", err)
		}
		return failure
	}
	if err := install(t, s, made(t, first)); !errors.Is(err, ErrUnfinished) || !errors.Is(err, failure) {
		t.Fatal(err)
	}
	failure = nil
	if done, err := s.Finish(); !done || err != nil || called != 2 {
		t.Errorf("then: %v, %v, called %d times", done, err, called)
	}
	if r, err := s.Pending(); err != nil || r.Source != "" {
		t.Errorf("pending at the end: %+v, %v", r, err)
	}
	if done, err := s.Finish(); done || err != nil || called != 2 {
		t.Errorf("once more: %v, %v, called %d times", done, err, called)
	}
}
