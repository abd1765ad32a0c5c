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

// defaultHold is how long old keys are kept where the configuration does not
// say.
const defaultHold = 24 * time.Hour

// A PSK that is asked for starts when both ends can be expected to have it: one
// in a file, where it is brought by hand or by a program, a little after it is
// written; one in a vault after a poll of the other end, which is taken to poll
// as this one does, with its jitter and some slack.
const (
	fileLead  = 10 * time.Second
	vaultLead = 30 * time.Second
)

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
	r := &rotator{state: state, log: log}
	r.Rotator = rotate.New(rotate.Options{
		Journal: rotate.Dir(filepath.Join(state, "rotations")),
		Look: func(keychain string) course.View {
			return viewOf(machine().Status(), keychain, r.tunnels(keychain))
		},
		Poll: func(keychain string) { machine().Poll(keychain) },
		Log:  log, Rand: rand.Reader,
	})
	return r
}

// tunnels are those that a rotation of a keychain follows.
func (r *rotator) tunnels(keychain string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return seenTunnels(r.cfg, keychain)
}

// configured takes the configuration that runs.
func (r *rotator) configured(c *config.Config) {
	r.mu.Lock()
	r.cfg = c
	r.mu.Unlock()
	var all []rotate.Chain
	for _, k := range c.Keychains {
		if k.Vault != nil && k.Vault.Certificate != "" {
			continue // the vault renews it
		}
		octets := octetsFor(c, k.Name)
		if seenTunnels(c, k.Name) != nil {
			octets = pskOctets
		}
		if octets == 0 {
			continue // no port uses it, and no tunnel of which it can be followed
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

// seenTunnels are the tunnels that have handshakes under PSKs of a keychain: of
// WireGuard with any of their peers.
func seenTunnels(c *config.Config, name string) (names []string) {
	for _, t := range c.Tunnels {
		if slices.Contains(t.Keychains(), name) {
			names = append(names, t.Name)
		}
	}
	return names
}

// ownKeychain is the keychain that is meant by t's name: its other end's, or the
// only one that its peers have; empty if it has none.
func ownKeychain(t config.Tunnel) string {
	switch all := t.Keychains(); {
	case t.WireGuard != nil && t.WireGuard.Keychain != "":
		return t.WireGuard.Keychain
	case len(all) == 1:
		return all[0]
	}
	return ""
}

func chainOf(c *config.Config, k config.Keychain, state string, octets int, log *slog.Logger) (rotate.Chain, error) {
	chain := rotate.Chain{Name: k.Name, Place: placeOf(k), Octets: octets, Hold: defaultHold}
	if chain.PSK = c.PSKs(k); chain.PSK {
		chain.Text, chain.Lead = textFor(c, k.Name), fileLead
	}
	same, err := json.Marshal(struct {
		config.Keychain
		Octets    int
		PSK, Text bool
	}{k, octets, chain.PSK, chain.Text})
	if err != nil {
		return rotate.Chain{}, err
	}
	chain.Same = string(same)
	switch {
	case k.Vault == nil && chain.PSK:
		chain.Store = rotate.PSKFile{Path: k.Path, Rand: rand.Reader}
		return chain, nil
	case k.Vault == nil:
		chain.Store = rotate.FileStore{Path: k.Path, Rand: rand.Reader}
		return chain, nil
	case chain.PSK:
		chain.Lead = k.Vault.Poll + k.Vault.Poll/10 + vaultLead
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
	chain.Store, chain.Owner, chain.Sweep = vaultStore{keyvault.NewHelper(vaultConfig(k.Vault)), chain.PSK}, owner, true
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

// rotate is the control socket's: of a port, of a tunnel, or of a keychain.
func (r *rotator) rotate(ctx context.Context, name string, _ peercred.Cred, emit func(any) error) error {
	refuse := func(code int, err error) error { return &status.Refusal{Status: code, Err: err} }
	keychain, err := r.keychainOf(name)
	if err != nil {
		return err
	}
	if err := r.renewed(keychain); err != nil {
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

// renewed refuses a keychain whose vault makes its certificates.
func (r *rotator) renewed(keychain string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.cfg.Keychain(keychain); k != nil && k.Vault != nil && k.Vault.Certificate != "" {
		return &status.Refusal{Status: http.StatusNotImplemented, Err: fmt.Errorf("keychain %s has certificate %s, which the vault renews: have it make a new version (az keyvault certificate create), and the tunnel is under it after a poll (%s)", keychain, k.Vault.Certificate, k.Vault.Poll)}
	}
	return nil
}

// keychainOf is the keychain of the port or the tunnel called name, or the one of
// that name.
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
		if own := ownKeychain(t); t.Name == name && own != "" {
			return own, nil
		}
		if t.Name == name {
			return "", &status.Refusal{Status: http.StatusNotImplemented, Err: fmt.Errorf("tunnel %s has no keychain: there is no PSK that could be changed; accepted: a port or a tunnel with a keychain, or the name of one", name)}
		}
		names = append(names, t.Name)
	}
	switch k := c.Keychain(name); {
	case k != nil && (octetsFor(c, name) > 0 || seenTunnels(c, name) != nil):
		return name, nil
	case k != nil && c.PSKs(*k):
		return "", &status.Refusal{Status: http.StatusNotImplemented, Err: fmt.Errorf("no tunnel uses keychain %s, so that no move to a new PSK would be seen; linkseal keys generate adds one", name)}
	case k != nil:
		return "", &status.Refusal{Status: http.StatusNotImplemented, Err: fmt.Errorf("no port uses keychain %s, so that nothing would move to a new key; linkseal keys generate adds one", name)}
	}
	return "", &status.Refusal{Status: http.StatusNotFound, Err: fmt.Errorf("there is no port and no tunnel %s; accepted: %s, or the name of a keychain of one", name, strings.Join(names, ", "))}
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
		s.Keychains[i].Rotation = &status.Rotation{Phase: string(p.Phase), CKN: p.CKN, PSK: p.PSK, Since: p.Since, RetireAt: p.RetireAt, Next: p.Next, Error: p.Error}
	}
}
