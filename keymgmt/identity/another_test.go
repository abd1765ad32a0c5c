package identity

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/sealed"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// A machine gets a better sealer: the key that is there is opened with what sealed
// it, and then sealed with that one.
func TestAnotherSealer(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dir, creds := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "wg.key")
	choose := func(o sealed.Options, want string) Sealers {
		t.Helper()
		s, _, err := sealed.Choose(o)
		if err != nil || s.Name() != want {
			t.Fatalf("chosen %v, %v; want %s", s, err, want)
		}
		return Sealers{s, o.Named}
	}
	o := sealed.Options{StateDir: dir, Device: filepath.Join(dir, "none")}
	first, made, err := Open(path, choose(o, sealed.WithFile))
	if err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	if err := os.WriteFile(filepath.Join(creds, sealed.CredentialName), []byte(strings.Repeat("k", 32)), 0o400); err != nil {
		t.Fatal(err)
	}
	o.Credentials = creds
	better := choose(o, sealed.WithCredential)
	again, made, err := Open(path, better)
	if err != nil || made || again.Public != first.Public || !again.Private.Equal(first.Private) || again.Stays != nil {
		t.Fatalf("made %v, %v, %+v", made, err, again)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "\nsealed: credential\n") {
		t.Errorf("the file is, %v:\n%s", err, text)
	}
	// The former sealer's key is not needed any more.
	if third, _, err := Open(path, Sealers{Now: better.Now}); err != nil || !third.Private.Equal(first.Private) {
		t.Errorf("with the new sealer alone: %v", err)
	}
}

// broken seals nothing, or something else than it opens.
type broken struct {
	sealed.Sealer
	seals bool
}

func (broken) Name() string { return "broken" }

func (b broken) Seal(key *secret.Key) ([]byte, error) {
	if !b.seals {
		return nil, errors.New("it seals nothing")
	}
	return b.Sealer.Seal(key)
}

func (broken) Unseal([]byte) (*secret.Key, error) { return secret.New(make([]byte, Size)), nil }

// What a sealer does not seal, or not so that it opens again, stays as it was.
func TestAnotherSealerFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "wg.key")
	seal := sealed.KeyFile(dir, "")
	first, _, err := Open(path, Sealers{Now: seal})
	if err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, seals := range []bool{false, true} {
		p, _, err := Open(path, Sealers{broken{seal, seals}, func(string) (sealed.Sealer, error) { return seal, nil }})
		if err != nil || !p.Private.Equal(first.Private) || p.Stays == nil {
			t.Errorf("%v, %+v", err, p)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != string(was) {
			t.Errorf("the file was changed, %v", err)
		}
	}
	// One that cannot be had is told, with what to do.
	_, _, err = Open(path, Sealers{broken{seal, true}, func(string) (sealed.Sealer, error) { return nil, errors.New("it is away") }})
	if err == nil || !strings.Contains(err.Error(), "sealed with: file: it is away") || !strings.Contains(err.Error(), "repair that") {
		t.Error(err)
	}
}
