package provision

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/provision/medium"
	"github.com/linkseal/linkseal/images/provision/store"
)

const config = `version: 1
keychains:
  link1: {source: file, path: keys/link1.yaml}
ports:
  - {name: link1, device: eth1, interface: macsec1, keychain: link1}
`

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

func stick(config string) fstest.MapFS {
	return fstest.MapFS{
		"linkseal.yaml":          {Data: []byte(config)},
		"keys/link1.yaml":        {Data: []byte("keys: []\n")},
		"keys/.hidden.yaml":      {Data: []byte("x")},
		"keys/notes.txt":         {Data: []byte("x")},
		"network/20-lan.network": {Data: []byte("[Match]\n")},
		"authorized_keys":        {Data: []byte(sshKey + "\n")},
		"other":                  {Data: []byte("x")},
	}
}

// pass is a check that all passes, fail one that nothing does.
func pass(context.Context, string, string) ([]string, error) { return nil, nil }

func fail(context.Context, string, string) ([]string, error) {
	return []string{"/etc/linkseal/linkseal.yaml:5:20: there is no device eth1 on this machine; accepted: the name of a network interface"}, nil
}

func take(t *testing.T, s *store.Store, check Check, from fstest.MapFS) Outcome {
	t.Helper()
	read := func() (*bundle.Bundle, error) { return medium.Read(from) }
	return Take(context.Background(), s, check, Offer{Source: "LINKSEAL medium /dev/sdb1", Read: read}, time.Unix(1e9, 0))
}

func installed(t *testing.T, s *store.Store, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Root, path))
	if errors.Is(err, os.ErrNotExist) {
		return "absent"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestApplied(t *testing.T) {
	s := &store.Store{Root: t.TempDir()}
	o := take(t, s, func(_ context.Context, dir, text string) ([]string, error) {
		if got, err := os.ReadFile(filepath.Join(dir, "linkseal.yaml")); err != nil || string(got) != config || text != config {
			t.Errorf("checked: %q and %q, %v", got, text, err)
		}
		if installed(t, s, bundle.Config) != "absent" {
			t.Error("it is installed before the check")
		}
		return nil, nil
	}, stick(config))
	if o.Result != Applied || len(o.Reasons) != 0 || strings.Join(o.Ignored, "|") != "keys/notes.txt: the name does not end in .yaml" {
		t.Errorf("%+v", o)
	}
	for path, want := range map[string]string{bundle.Config: config, "/etc/linkseal/keys/link1.yaml": "keys: []\n", "/etc/systemd/network/20-lan.network": "[Match]\n",
		bundle.AuthorizedKeys: sshKey + "\n", "/etc/linkseal/other": "absent", "/etc/linkseal/keys/.hidden.yaml": "absent"} {
		if got := installed(t, s, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestRefusedChangesNothing(t *testing.T) {
	missing := stick(config)
	delete(missing, "keys/link1.yaml")
	link := stick(config)
	link["linkseal.yaml"] = &fstest.MapFile{Data: []byte("/etc/shadow"), Mode: os.ModeSymlink}
	linkedDir := stick(config)
	for name := range linkedDir {
		if strings.HasPrefix(name, "keys/") {
			delete(linkedDir, name)
		}
	}
	linkedDir["keys"] = &fstest.MapFile{Data: []byte("/etc"), Mode: os.ModeSymlink}
	large := stick(config)
	large["keys/large.yaml"] = &fstest.MapFile{Data: make([]byte, bundle.MaxFile+1)}
	keys := stick(config)
	keys["authorized_keys"] = &fstest.MapFile{Data: []byte(sshKey + "\nssh-ed25519\n")}
	odd := stick(config)
	odd["network/a\x1b[2J.network"] = &fstest.MapFile{}
	for name, c := range map[string]struct {
		from  fstest.MapFS
		check Check
		want  string
	}{
		"check":       {stick(config), fail, "linkseal.yaml:5:20: there is no device eth1"},
		"check fails": {stick(config), func(context.Context, string, string) ([]string, error) { return nil, errors.New("no memory") }, "could not be checked: no memory"},
		"missing key": {missing, pass, "/etc/linkseal/linkseal.yaml:3:31: /etc/linkseal/keys/link1.yaml is named and not provided"},
		"link":        {link, pass, "linkseal.yaml is a symbolic link"},
		"linked dir":  {linkedDir, pass, "keys is a symbolic link"},
		"SSH keys":    {keys, pass, "authorized_keys:2:1: the line is no public key of SSH's"},
		"large":       {large, pass, "keys/large.yaml has more than 1048576 octets"},
		"odd name":    {odd, pass, `file name "a\x1b[2J.network"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := &store.Store{Root: t.TempDir()}
			o := take(t, s, c.check, c.from)
			if o.Result != Refused || !strings.Contains(strings.Join(o.Reasons, "\n"), c.want) || o.Remedy == "" {
				t.Errorf("%+v, want %q", o, c.want)
			}
			entries, err := os.ReadDir(filepath.Join(s.Root, "etc"))
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%v, %v: something was installed", entries, err)
			}
			if r, err := s.Record(); err != nil || r.Digest != "" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

func TestNothingOnIt(t *testing.T) {
	s := &store.Store{Root: t.TempDir()}
	if o := take(t, s, fail, fstest.MapFS{"holiday.jpg": {}}); o.Result != Empty || len(o.Reasons) != 1 {
		t.Errorf("%+v", o)
	}
}

// Who comes first provisions.
func TestFirstWins(t *testing.T) {
	s := &store.Store{Root: t.TempDir()}
	other := stick(strings.Replace(config, "eth1", "eth2", 1))
	steps := []struct {
		what   string
		before func() error
		from   fstest.MapFS
		want   string
		reason string
	}{
		{"the first", nil, stick(config), Applied, ""},
		{"the same", nil, stick(config), Same, ""},
		{"another", nil, other, Refused, "has been provisioned already, from LINKSEAL medium /dev/sdb1 on 2001-09-09T01:46:40Z"},
		{"the same after a change by hand", func() error { return os.WriteFile(filepath.Join(s.Root, bundle.Config), []byte("by hand"), 0o600) }, stick(config), Same, ""},
		{"another after the remedy", func() error { return os.Remove(filepath.Join(s.Root, bundle.Config)) }, other, Applied, ""},
		{"the first now", nil, stick(config), Refused, "provisioned already"},
	}
	for _, step := range steps {
		if step.before != nil {
			if err := step.before(); err != nil {
				t.Fatal(err)
			}
		}
		o := take(t, s, pass, step.from)
		if o.Result != step.want || !strings.Contains(strings.Join(o.Reasons, "\n"), step.reason) {
			t.Errorf("%s: %+v, want %s", step.what, o, step.want)
		}
		if o.Result == Refused && !strings.Contains(o.Remedy, "remove /etc/linkseal/linkseal.yaml over SSH") {
			t.Errorf("%s: remedy %q", step.what, o.Remedy)
		}
	}
}

// What is written by hand is nobody's to replace; SSH keys alone are provisioned
// once, too.
func TestByHandAndKeysAlone(t *testing.T) {
	s := &store.Store{Root: t.TempDir()}
	keys := fstest.MapFS{"authorized_keys": {Data: []byte(sshKey + "\n")}}
	if o := take(t, s, fail, keys); o.Result != Applied {
		t.Fatalf("%+v", o)
	}
	if o := take(t, s, pass, keys); o.Result != Same {
		t.Errorf("%+v", o)
	}
	if o := take(t, s, pass, stick(config)); o.Result != Refused || !strings.Contains(o.Remedy, "write /etc/linkseal/linkseal.yaml over SSH") {
		t.Errorf("%+v", o)
	}
	if err := os.MkdirAll(filepath.Join(s.Root, bundle.Linkseal), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Root, bundle.Config), []byte("by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := take(t, s, pass, stick(config)); o.Result != Refused || !strings.Contains(o.Reasons[0], "has a /etc/linkseal/linkseal.yaml already") {
		t.Errorf("%+v", o)
	}
}

// An update of the program makes something else of the same medium, or refuses it:
// it is the same all the same.
func TestSameForAnotherParser(t *testing.T) {
	s := &store.Store{Root: t.TempDir()}
	offer := func(from fstest.MapFS, read func() (*bundle.Bundle, error)) Outcome {
		return Take(context.Background(), s, pass, Offer{"LINKSEAL medium /dev/sdb1", medium.Digest(from), read}, time.Unix(1e9, 0))
	}
	from := stick(config)
	if o := offer(from, func() (*bundle.Bundle, error) { return medium.Read(from) }); o.Result != Applied {
		t.Fatalf("%+v", o)
	}
	other := func() (*bundle.Bundle, error) { return medium.Read(stick(config + "# as the new one reads it\n")) }
	refuses := func() (*bundle.Bundle, error) { return nil, errors.New("what the old one took") }
	for _, read := range []func() (*bundle.Bundle, error){other, refuses} {
		if o := offer(from, read); o.Result != Same {
			t.Errorf("%+v", o)
		}
		changed := stick(config)
		changed["linkseal.yaml"].Data = append(changed["linkseal.yaml"].Data, '#')
		if o := offer(changed, read); o.Result != Refused {
			t.Errorf("another medium: %+v", o)
		}
	}
	// One whose digest nobody knows is no other's equal.
	if o := Take(context.Background(), s, pass, Offer{Source: "x", Read: other}, time.Unix(1e9, 0)); o.Result != Refused {
		t.Errorf("%+v", o)
	}
}

// Only a machine that never was provisioned has failed.
func TestFailure(t *testing.T) {
	refused := []Outcome{{Source: "DVD", Result: Refused, Reasons: []string{"a", "b"}}}
	if got := Failure(refused, false); got != "DVD: a; b" {
		t.Errorf("%q", got)
	}
	for _, got := range []string{Failure(refused, true), Failure(append(refused, Outcome{Result: Same}), false), Failure(nil, false)} {
		if got != "" {
			t.Errorf("%q", got)
		}
	}
	s := &store.Store{Root: t.TempDir()}
	if before, err := s.Provisioned(); err != nil || before {
		t.Errorf("%t, %v: nothing was", before, err)
	}
	if o := take(t, s, pass, stick(config)); o.Result != Applied {
		t.Fatalf("%+v", o)
	}
	if before, err := s.Provisioned(); err != nil || !before {
		t.Errorf("%t, %v: by a medium", before, err)
	}
	hand := &store.Store{Root: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(hand.Root, bundle.Linkseal), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hand.Root, bundle.Config), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if before, err := hand.Provisioned(); err != nil || !before {
		t.Errorf("%t, %v: by hand", before, err)
	}
}

func TestReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "provision.json")
	if all, err := Report(path); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	for n := range 20 {
		for _, o := range []Outcome{{Source: "a", Result: Refused, Reasons: []string{"x"}}, {Source: string(rune('b' + n)), Result: Same}} {
			if err := AddReport(path, o); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := Report(path)
	if err != nil || len(all) != maxSources || all[len(all)-2].Source != "a" {
		t.Errorf("%+v, %v", all, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := AddReport(path, Outcome{Source: "c"}); err != nil {
		t.Error(err)
	}
}

func TestWrite(t *testing.T) {
	var b bytes.Buffer
	Outcome{Source: "S", Result: Refused, Reasons: bounded([]string{"a\x1b[2Jb", strings.Repeat("x", 1000)}), Remedy: "mend it", Ignored: []string{"runcmd"}}.Write(&b)
	if got := b.String(); !strings.HasPrefix(got, "S: refused\n  a [2Jb\n  xxx") || !strings.HasSuffix(got, "...\n  mend it\n  ignored: runcmd\n") {
		t.Errorf("%q", got)
	}
}

// What is accepted and cannot all be installed is told as that, until it is.
func TestUnfinished(t *testing.T) {
	s := &store.Store{Root: t.TempDir()}
	inTheWay := filepath.Join(s.Root, "/etc/linkseal/keys/link1.yaml", "x")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	o := take(t, s, pass, stick(config))
	if o.Result != Unfinished || len(o.Reasons) == 0 || !strings.Contains(o.Reasons[0], "link1.yaml") || !strings.Contains(o.Remedy, "systemctl restart linkseal-provision") {
		t.Errorf("%+v", o)
	}
	if got := installed(t, s, bundle.Config); got != "absent" {
		t.Errorf("the configuration is there before its keys: %q", got)
	}
	if why := Failure([]Outcome{o}, false); !strings.Contains(why, "link1.yaml") {
		t.Errorf("no failure: %q", why)
	}
	if err := os.RemoveAll(filepath.Dir(inTheWay)); err != nil {
		t.Fatal(err)
	}
	if done, err := s.Finish(); !done || err != nil {
		t.Fatal(done, err)
	}
	if got := installed(t, s, bundle.Config); got != config {
		t.Errorf("then: %q", got)
	}
}
