package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/keyvault"
	"github.com/linkseal/linkseal/keymgmt/rotate"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
	"github.com/linkseal/linkseal/linux/peercred"
)

// defaultHold is how long old pairs are kept where the configuration does not
// say.
const defaultHold = 24 * time.Hour

// rotator rotates the keychains of the configuration that runs.
type rotator struct {
	*rotate.Rotator
	state string
	log   *slog.Logger

	mu  sync.Mutex
	cfg *config.Config
}

// newRotator is that of the daemon whose state directory is state. machine is
// what it looks at.
func newRotator(state string, machine func() *reconcile.Reconciler, log *slog.Logger) *rotator {
	return &rotator{state: state, log: log, Rotator: rotate.New(rotate.Options{
		Journal: rotate.Dir(filepath.Join(state, "rotations")),
		Look:    func(keychain string) course.View { return viewOf(machine().Status(), keychain) },
		Poll:    func(keychain string) { machine().Poll(keychain) },
		Log:     log, Rand: rand.Reader,
	})}
}

// configured takes the configuration that runs.
func (r *rotator) configured(c *config.Config) {
	r.mu.Lock()
	r.cfg = c
	r.mu.Unlock()
	var all []rotate.Chain
	for _, k := range c.Keychains {
		octets := octetsFor(c, k.Name)
		if octets == 0 {
			continue // no port uses it
		}
		chain, err := chainOf(c, k, r.state, octets, r.log)
		if err != nil {
			r.log.Error("keychain cannot be rotated", "keychain", k.Name, "error", err)
			continue
		}
		all = append(all, chain)
	}
	r.Set(all)
}

// octetsFor is how long a CAK of a keychain has to be for the ports that use
// it; 0 if none does.
func octetsFor(c *config.Config, keychain string) (octets int) {
	for _, p := range c.Ports {
		if p.Keychain == keychain {
			octets = max(octets, p.Cipher.Suite().KeyLen())
		}
	}
	return octets
}

func chainOf(c *config.Config, k config.Keychain, state string, octets int, log *slog.Logger) (rotate.Chain, error) {
	same, err := json.Marshal(struct {
		config.Keychain
		Octets int
	}{k, octets})
	if err != nil {
		return rotate.Chain{}, err
	}
	chain := rotate.Chain{Name: k.Name, Place: placeOf(k), Octets: octets, Hold: defaultHold, Same: string(same)}
	if k.Vault == nil {
		chain.Store = rotate.FileStore{Path: k.Path, Rand: rand.Reader}
		return chain, nil
	}
	owner, former, err := ownerOf(c, state)
	if err != nil {
		return chain, err
	}
	switch former {
	case "":
	case owner:
		log.Warn("the state directory is from another machine with the same name: if that is still in use this is a copy, and both rotate as one owner; give this one another name", "state", state, "owner", owner)
	default:
		log.Warn("the state directory is another appliance's, or a copy of it: neither name nor machine are the same; this is an owner of its own now", "state", state, "former", former, "owner", owner)
	}
	chain.Store, chain.Owner, chain.Sweep = vaultStore{keyvault.NewHelper(vaultConfig(k.Vault))}, owner, true
	if s := k.Vault.Rotation; s != nil {
		chain.Hold = s.Hold
		chain.Schedule = &course.Schedule{Every: s.Every, Overlap: s.Overlap, Hold: s.Hold}
	}
	return chain, nil
}

// placeOf names where the keys of a keychain are.
func placeOf(k config.Keychain) string {
	if v := k.Vault; v != nil {
		return k.Source + " " + strings.TrimSpace(v.Place())
	}
	return k.Source + " " + absolute(k.Path)
}

// ownerOf is what marks this appliance's pairs in a vault, and whose the state
// directory was if it is, or may be, a copy.
func ownerOf(c *config.Config, state string) (owner, former string, err error) {
	name := c.Name
	if name == "" {
		name, _ = os.Hostname()
	}
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	return rotate.Owner(state, name, strings.TrimSpace(string(machine)))
}

// rotate is the control socket's: of a port, or of a keychain.
func (r *rotator) rotate(ctx context.Context, name string, _ peercred.Cred, emit func(any) error) error {
	refuse := func(code int, err error) error { return &status.Refusal{Status: code, Err: err} }
	keychain, err := r.keychainOf(name)
	if err != nil {
		return err
	}
	err = r.Rotate(ctx, keychain, func(e course.Event) error { return emit(e) })
	switch {
	case errors.Is(err, rotate.ErrUnknown):
		return refuse(http.StatusNotImplemented, fmt.Errorf("keychain %s cannot be rotated; the daemon's log tells why", keychain))
	case errors.Is(err, rotate.ErrOwned):
		return refuse(http.StatusConflict, err)
	case errors.Is(err, rotate.ErrStopped):
		return refuse(http.StatusServiceUnavailable, err)
	}
	return err
}

// keychainOf is the keychain of the port called name, or the one of that name.
func (r *rotator) keychainOf(name string) (string, error) {
	r.mu.Lock()
	c := r.cfg
	r.mu.Unlock()
	if c == nil {
		return "", &status.Refusal{Status: http.StatusServiceUnavailable, Err: errors.New("the daemon is starting; try again")}
	}
	var names []string
	for _, p := range c.Ports {
		if p.Name == name {
			return p.Keychain, nil
		}
		names = append(names, p.Name)
	}
	for _, t := range c.Tunnels {
		if t.Name == name {
			return "", &status.Refusal{Status: http.StatusNotImplemented, Err: fmt.Errorf("%s is a tunnel, and rotate of tunnels is not in this release; accepted: a port, or a keychain of ports", name)}
		}
	}
	switch k := c.Keychain(name); {
	case k != nil && octetsFor(c, name) > 0:
		return name, nil
	case k != nil:
		return "", &status.Refusal{Status: http.StatusNotImplemented, Err: fmt.Errorf("no port uses keychain %s, so that nothing would move to a new key; linkseal keys generate adds one", name)}
	}
	return "", &status.Refusal{Status: http.StatusNotFound, Err: fmt.Errorf("there is no port %s; accepted: %s, or the name of a port's keychain", name, strings.Join(names, ", "))}
}

// report adds the rotations to a status.
func (r *rotator) report(s *status.Status) {
	results := r.Results()
	for i := range s.Keychains {
		if n, ok := results[s.Keychains[i].Name]; ok {
			s.Keychains[i].Rotations = map[string]uint64{"done": n.Done, "failed": n.Failed, "refused": n.Refused}
		}
	}
	for _, p := range r.Reports() {
		i := slices.IndexFunc(s.Keychains, func(k status.Keychain) bool { return k.Name == p.Keychain })
		if i < 0 {
			continue
		}
		s.Keychains[i].Rotation = &status.Rotation{Phase: string(p.Phase), CKN: p.CKN, Since: p.Since, RetireAt: p.RetireAt, Next: p.Next, Error: p.Error}
	}
}
