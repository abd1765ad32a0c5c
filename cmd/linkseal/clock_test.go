package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/keyvault"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// bare is a machine without devices: what is looked at are the keychains.
type bare struct{}

func (bare) Observe(plan.Desired) (plan.Observed, error)         { return plan.Observed{}, nil }
func (bare) Apply(plan.Step) error                               { return nil }
func (bare) Capabilities() plan.Capabilities                     { return plan.Capabilities{} }
func (bare) Watch(context.Context) (<-chan struct{}, error)      { return nil, nil }
func (bare) Dropped([]string, bool) map[string]map[string]uint64 { return nil }

func (bare) FilterCounters(string) (map[string]uint64, error) { return nil, nil }
func (bare) OuterCircuits(string) ([]status.Circuit, error)   { return nil, nil }
func (bare) Tagging(string) (status.Tagging, error)           { return status.Tagging{}, nil }
func (bare) Flows(string) ([]status.Flow, error)              { return nil, nil }

func (bare) Fenced() *status.Fenced { return nil }

func (bare) Guard(string, bool) error                { return nil }
func (bare) Enforcement(string) *status.Enforcement  { return nil }
func (bare) Load() (map[string]keychain.Seen, error) { return nil, nil }
func (bare) Save(map[string]keychain.Seen) error     { return nil }

// safe is what was sealed, in memory.
type safe struct{ kept reconcile.Kept }

func (s *safe) Load() (reconcile.Kept, error) { return s.clone(s.kept), nil }

func (s *safe) Save(k reconcile.Kept) error { s.kept = s.clone(k); return nil }

func (*safe) clone(k reconcile.Kept) reconcile.Kept {
	c := reconcile.Kept{Time: k.Time, Keychains: map[string]*keychain.Keychain{}}
	for name, chain := range k.Keychains {
		c.Keychains[name] = chain.Clone()
	}
	return c
}

// near is a vault that answers, by a right clock: it has one pair.
type near struct {
	keyvault.Vault
	pair keyvault.Version // of both
}

func (n near) Fetch(_ context.Context, r keyvault.Request) (*keyvault.Answer, error) {
	a := &keyvault.Answer{}
	for i, ref := range []keyvault.Ref{{Kind: keyvault.CAK, ID: "a1"}, {Kind: keyvault.CKN, ID: "c1"}} {
		v := n.pair
		v.Ref = ref
		a.Versions = append(a.Versions, v)
		if !slices.Contains(r.Have, ref) {
			a.Values = append(a.Values, keyvault.Value{Ref: ref, Octets: secret.New(bytes.Repeat([]byte{byte(0x41 + i)}, 32))})
		}
	}
	return a, nil
}

// A clock that nobody has set and that is ten years off, either way, takes the
// sealed keys of a vault in reach from nobody, and spoils nothing for the next
// start.
func TestClockTenYearsOff(t *testing.T) {
	const tenYears = 10 * 365 * 24 * time.Hour
	for name, off := range map[string]time.Duration{"right": 0, "ten years behind": -tenYears, "ten years ahead": tenYears} {
		for how, hard := range map[string]bool{"": false, ", expires hard": true} {
			t.Run(name+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { clockOff(t, off, hard) })
			})
		}
	}
}

func clockOff(t *testing.T, off time.Duration, hard bool) {
	right := time.Now().Add(-off).UTC().Truncate(time.Second) // the bubble's clock is off
	window := keychain.Window{NotBefore: right.Add(-time.Hour), Expires: right.Add(30 * 24 * time.Hour)}
	ckn := keychain.CKN(bytes.Repeat([]byte{0x42}, 32))
	s := &safe{reconcile.Kept{Time: right.Add(-time.Minute), Keychains: map[string]*keychain.Keychain{
		"link1 azure-key-vault https://v.vault.azure.net a c ": {Keys: []keychain.Key{{CKN: ckn, CAK: secret.New(bytes.Repeat([]byte{0x41}, 32)), Window: window, ExpiresHard: hard,
			Pinned: keychain.Pinned{Pair: "p1", CAK: "a1", CKN: "c1"}}}},
	}}}
	vault := near{pair: keyvault.Version{Enabled: true, Pair: "p1", Created: right.Add(-time.Hour), NotBefore: window.NotBefore, Expires: window.Expires, ExpiresHard: hard}}
	cfg, err := config.Parse("l.yaml", `version: 1
name: a
keychains:
  link1: {source: azure-key-vault, vault: https://v.vault.azure.net, cak: a, ckn: c, credential: {type: managed-identity}}
ports:
  - {name: link1, device: eth1, interface: macsec1, keychain: link1}
`)
	if err != nil {
		t.Fatal(err)
	}
	var set atomic.Int64 // what the clock was set back by, and that it was
	start := func() (*reconcile.Reconciler, func()) {
		log := slog.New(slog.DiscardHandler)
		r := reconcile.New(cfg, reconcile.Options{
			Machine: bare{}, Seen: bare{}, Keeper: s, Log: log,
			Source: func(k config.Keychain) (reconcile.Source, error) {
				return vaultSource{keyvault.NewSource(k.Name, k.Vault.Poll, vault, log)}, nil
			},
			Clock: func() (time.Time, bool) { return time.Now().Add(-time.Duration(set.Load())), set.Load() != 0 },
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		return r, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	for n := range 3 { // starts
		r, stop := start()
		for _, after := range []time.Duration{time.Second, time.Hour, 3 * time.Hour} {
			time.Sleep(after)
			synctest.Wait()
			if err := active(r.Status(), ckn); err != nil {
				t.Errorf("start %d: %v", n, err)
			}
			if held := r.Status().ClockHeld != nil; held != (off != 0) {
				t.Errorf("start %d: the clock is held: %t", n, held)
			}
		}
		stop()
		if d := s.kept.Time.Sub(right); d < -time.Hour || d > 24*time.Hour {
			t.Errorf("start %d: the sealed time is %s off", n, d)
		}
	}
	// A time server sets it, and that is believed, be what was sealed later.
	set.Store(int64(off) + 1)
	s.kept.Time = right.Add(5 * 365 * 24 * time.Hour)
	r, stop := start()
	time.Sleep(time.Minute)
	synctest.Wait()
	if err := active(r.Status(), ckn); err != nil || r.Status().ClockHeld != nil {
		t.Errorf("set: %v, held %v", err, r.Status().ClockHeld)
	}
	stop()
	if d := s.kept.Time.Sub(right); d > 48*time.Hour {
		t.Errorf("what a wrong clock had sealed stays: %s off", d)
	}
}

// active tells what keeps ckn from being the keychain's one active key.
func active(s status.Status, ckn keychain.CKN) error {
	if len(s.Keychains) != 1 || len(s.Keychains[0].Keys) != 1 || s.Keychains[0].Keys[0].CKN != ckn.String() || s.Keychains[0].Keys[0].State != "active" {
		return fmt.Errorf("keychains %+v", s.Keychains)
	}
	return nil
}
