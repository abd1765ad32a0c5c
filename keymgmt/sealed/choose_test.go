package sealed

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/tests/swtpm"
)

// chosen wants a sealer and words in the reason.
func chosen(t *testing.T, o Options, name, words string) Sealer {
	t.Helper()
	s, reason, err := Choose(o)
	must(t, err)
	if s.Name() != name || !strings.Contains(reason, words) {
		t.Fatalf("chosen %s, %s; want %s, %s", s.Name(), reason, name, words)
	}
	return s
}

func notChosen(t *testing.T, o Options, words ...string) {
	t.Helper()
	s, reason, err := Choose(o)
	if err == nil {
		t.Fatalf("chosen %s, %s", s.Name(), reason)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in %v", w, err)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dir, creds := t.TempDir(), t.TempDir()
	o := Options{StateDir: dir, Device: filepath.Join(dir, "none")}
	chosen(t, o, WithFile, "no credential linkseal.seal, and no TPM can be used: TPM "+o.Device+": try it: there is no TPM")

	withCreds := o
	withCreds.Credentials = creds
	chosen(t, withCreds, WithFile, "auto")
	credential := filepath.Join(creds, CredentialName)
	must(t, os.WriteFile(credential, []byte("short"), 0o600))
	notChosen(t, withCreds, "the service has a credential and it cannot be used", "has 5 octets; accepted: 32 or more")
	must(t, os.WriteFile(credential, bytes.Repeat([]byte("c"), 99), 0o600))
	must(t, os.Chmod(credential, 0o440))
	chosen(t, withCreds, WithCredential, "the service has credential")
	t.Setenv("CREDENTIALS_DIRECTORY", creds)
	chosen(t, o, WithCredential, "the service has credential")
	must(t, os.Chmod(credential, 0o444))
	notChosen(t, o, "has mode 0444")
	must(t, os.Chmod(credential, 0o400))

	e := swtpm.For(t)
	withTPM := o
	withTPM.Device = e.Path
	chosen(t, withTPM, WithTPM, "auto: the TPM can be used")

	for _, tc := range []struct {
		with, path string
		words      string
	}{
		{WithTPM, "", "there is no TPM"},
		{WithCredential, "other", "no such file"},
		{WithFile, filepath.Join(dir, "other"), "no such file"},
		{"magic", "", "accepted: tpm, credential, file"},
	} {
		bad := o
		bad.With, bad.Path = tc.with, tc.path
		notChosen(t, bad, "sealing with: "+tc.with, tc.words)
	}
	key := filepath.Join(dir, "my.key")
	must(t, os.WriteFile(key, bytes.Repeat([]byte("k"), 32), 0o600))
	for with, path := range map[string]string{WithFile: key, WithCredential: CredentialName} {
		good := o
		good.With, good.Path = with, path
		chosen(t, good, with, "configured")
	}
}

// What keys are sealed with stays, be there something better or only something
// weaker.
func TestChooseSticks(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	e := swtpm.For(t)
	dir := t.TempDir()
	none := Options{StateDir: dir, Device: filepath.Join(dir, "none")}
	there := Options{StateDir: dir, Device: e.Path}

	s, err := Open(dir, chosen(t, none, WithFile, "auto"))
	must(t, err)
	must(t, s.Save(nth(1)))
	chosen(t, there, WithFile, "auto: the keys that are there are sealed with it")

	there.With = WithTPM
	s, err = Open(dir, chosen(t, there, WithTPM, "configured"))
	must(t, err)
	must(t, s.Save(nth(2)))
	there.With = ""
	s, err = Open(dir, chosen(t, there, WithTPM, "auto: the keys that are there are sealed with it"))
	must(t, err)
	loads(t, s, 2)
	notChosen(t, none, "are sealed with: tpm, which cannot be used", "there is no TPM", "sealing: {with: …}")
}

// The whole of it on a TPM: power lost, an old file, the same files beside
// another TPM, a cleared one.
func TestStoreWithTPM(t *testing.T) {
	e := swtpm.For(t)
	dir := t.TempDir()
	s, err := Open(dir, TPM(e.Path, []int{7}))
	must(t, err)
	must(t, s.Save(nth(1)))
	old, err := os.ReadFile(newest(t, dir))
	must(t, err)
	must(t, s.Save(nth(2)))
	must(t, s.Save(nth(3)))
	must(t, e.Reset())
	loads(t, s, 3)
	path := newest(t, dir)
	now, err := os.ReadFile(path)
	must(t, err)
	for _, name := range Slots {
		must(t, os.WriteFile(filepath.Join(dir, name), old, 0o600))
	}
	refusesAll(t, s, "has generation 2, and 4 has been written since", RolledBack, RolledBack)
	must(t, os.WriteFile(path, now, 0o600))
	loads(t, s, 3)

	must(t, e.Extend(7))
	refusesAll(t, s, "PCRs [7] have not the values", Withheld, RolledBack)
	must(t, s.Save(nth(4)))
	loads(t, s, 4)

	other, err := Open(dir, TPM(swtpm.For(t).Path, nil))
	must(t, err)
	refusesAll(t, other, "is gone", RolledBack, RolledBack)

	must(t, e.Clear())
	refusesAll(t, s, "is gone", RolledBack, RolledBack)
	must(t, s.Save(nth(5)))
	loads(t, s, 5)
}
