package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/linkseal/linkseal/tests/leak"
)

// Uses names keys that the appliance has got otherwise than by WriteKeys: they
// too may not be found outside of it when it ends.
func (a *Appliance) Uses(keys ...Key) {
	for _, k := range keys {
		if !slices.Contains(a.used, k) {
			a.used = append(a.used, k)
		}
	}
}

// secrets are the CAKs that the appliance was given so far, and their ICKs and
// KEKs, and what it hides beside.
func (a *Appliance) secrets() (all []leak.Secret, err error) {
	all = slices.Clone(a.hidden)
	for _, k := range a.used {
		s, err := leak.Keys(k.CKN, k.CAK)
		if err != nil {
			return nil, err
		}
		all = append(all, s...)
	}
	return all, nil
}

// alive is what a running daemon shows of itself: arguments, environment and,
// if it is asked, its status.
func (a *Appliance) alive(ask bool) map[string][]byte {
	shown := map[string][]byte{}
	for _, name := range []string{"cmdline", "environ"} {
		// A daemon that has just ended has none.
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", a.Pid(), name)); err == nil {
			shown["/proc/PID/"+name] = text
		}
	}
	if ask {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		// One that does not answer is stopped all the same.
		if s, err := a.status(ctx); err == nil {
			shown["its status"], _ = json.Marshal(s)
		}
	}
	return shown
}

// leaks is an error if a key of the appliance is in what it has shown, in its
// log, or in a file of its folder other than its keychain and its private key.
func (a *Appliance) leaks(shown map[string][]byte) error {
	secrets, err := a.secrets()
	if err != nil {
		return err
	}
	shown["its log"] = []byte(a.Log())
	err = filepath.WalkDir(a.Dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!d.Type().IsRegular() || path == a.KeysFile() || path == a.PrivateKey()) {
			return nil
		}
		if err == nil {
			shown[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("appliance %s: looking for keys in its folder: %w", a.Name, err)
	}
	var all []error
	for where, text := range shown {
		for _, what := range leak.Search(text, secrets) {
			all = append(all, fmt.Errorf("appliance %s: a key is outside: the %s is in %s", a.Name, what, where))
		}
	}
	return errors.Join(all...)
}
