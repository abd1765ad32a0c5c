package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A key that an appliance lets out is found wherever it is, and its keychain
// file is no leak.
func TestLeaks(t *testing.T) {
	k := Key{CKN: "aa01", CAK: "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef"}
	for where, let := range map[string]func(a *Appliance, shown map[string][]byte) error{
		"its log": func(a *Appliance, _ map[string][]byte) error {
			_, err := a.log.Write([]byte("key " + k.CAK))
			return err
		},
		"state/x": func(a *Appliance, _ map[string][]byte) error {
			return os.WriteFile(filepath.Join(a.Dir, "state", "x"), []byte(k.CAK), 0o600)
		},
		"/environ": func(_ *Appliance, shown map[string][]byte) error {
			shown["/environ"] = []byte("CAK=" + k.CAK)
			return nil
		},
		"": func(*Appliance, map[string][]byte) error { return nil },
	} {
		a := &Appliance{Name: "west", Dir: t.TempDir()}
		if err := os.Mkdir(filepath.Join(a.Dir, "state"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := a.WriteKeys(k); err != nil {
			t.Fatal(err)
		}
		shown := map[string][]byte{}
		if err := let(a, shown); err != nil {
			t.Fatal(err)
		}
		err := a.leaks(shown)
		switch {
		case where == "":
			if err != nil {
				t.Errorf("no leak: %v", err)
			}
		case err == nil || !strings.Contains(err.Error(), where) || !strings.Contains(err.Error(), "CAK of CKN aa01") || strings.Contains(err.Error(), k.CAK):
			t.Errorf("%s: %v", where, err)
		}
	}
}
