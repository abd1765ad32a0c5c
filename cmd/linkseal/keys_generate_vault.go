package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/keyvault"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

// inVault writes a pair or a PSK to the vault of k, or completes the one that
// --pair names. The keys are made, and read back, in a child process of its own.
func (f *generateFlags) inVault(ctx context.Context, cfg *config.Config, k *config.Keychain, ports []config.Port, now time.Time) (doc generated, err error) {
	doc.Keychain, doc.Vault = k.Name, k.Vault.URL
	switch {
	case k.Vault.Certificate != "":
		return doc, usage(fmt.Errorf("keychain %s has certificate %s, which the vault makes: az keyvault certificate create", k.Name, k.Vault.Certificate))
	case f.showKeys:
		return doc, usage(errors.New("--show-keys does not go with a vault, which keeps the CAK, or the PSK; linkseal keys show reads it"))
	case k.Vault.PSK != "" && f.pair != "":
		return doc, usage(errors.New("--pair does not go with a PSK, which has an id: --id"))
	case k.Vault.PSK == "" && f.id != "":
		return doc, usage(errors.New("--id goes with a PSK alone; a CKN and a CAK have a pair id: --pair"))
	case k.Vault.PSK == "" && f.cknLength != 0:
		return doc, usage(errors.New("--ckn-length does not go with a vault: a CKN there is as long as its CAK"))
	}
	pair, err := f.pairFor(k, ports, now)
	if err != nil {
		return doc, err
	}
	if k.Vault.Rotation != nil || f.takeOver {
		if pair.Owner, _, err = ownerOf(cfg, cfg.State); err != nil {
			return doc, err
		}
	}
	vault := keyvault.NewHelper(vaultConfig(k.Vault))
	listed, err := vaultStore{vault, k.Vault.PSK != ""}.List(ctx)
	if err != nil {
		return doc, err
	}
	if owned := course.Owned(k.Name, listed, pair.Owner); owned != nil {
		if !f.takeOver {
			return doc, owned
		}
		if err := succeeds(course.Newest(listed), pair.NotBefore, now); err != nil {
			return doc, err
		}
	}
	for _, p := range listed {
		if !p.Whole && !p.PSK && p.ID != pair.ID {
			doc.halves = append(doc.halves, p.ID)
		}
	}
	w, err := vault.Write(ctx, pair)
	switch {
	case err != nil && k.Vault.PSK != "":
		return doc, fmt.Errorf("%w; if it was written nevertheless, --id %s finds it", err, pair.ID)
	case err != nil:
		return doc, fmt.Errorf("%w; what was written of the pair, --pair %s completes", err, pair.ID)
	}
	window := w.Window()
	doc.keyDocument = keyDocument{Octets: pair.Octets, Text: pair.Text, State: window.State(now), ExpiresHard: f.expiresHard, Fallback: f.fallback,
		NotBefore: status.Given(window.NotBefore), Expires: status.Given(window.Expires)}
	if k.Vault.PSK != "" {
		doc.ID, doc.Version = w.Pinned.Pair, w.Pinned.PSK
	} else {
		doc.CKN, doc.Pair, doc.CAKVersion, doc.CKNVersion = &w.CKN, w.Pinned.Pair, w.Pinned.CAK, w.Pinned.CKN
	}
	return doc, nil
}

// pairFor is the pair, or the PSK, that the flags describe.
func (f *generateFlags) pairFor(k *config.Keychain, ports []config.Port, now time.Time) (keyvault.Pair, error) {
	p := keyvault.Pair{ID: f.pair, Fallback: f.fallback, ExpiresHard: f.expiresHard}
	if k.Vault.PSK != "" {
		w, err := f.pskWindow(now)
		p.ID, p.Octets, p.Text, p.NotBefore, p.Expires = f.newID(), pskOctets, f.pskText, w.NotBefore, w.Expires
		return p, err
	}
	if p.ID == "" {
		p.ID = f.newID()
	}
	want, err := f.window(ports, now)
	p.Octets, p.NotBefore, p.Expires = want.octets, want.NotBefore, want.Expires
	return p, err
}

// succeeds tells that a pair that starts at start, or now where that is zero, is
// newer than before: else its owner would not be the keychain's.
func succeeds(before *course.Pair, start, now time.Time) error {
	if start.IsZero() {
		start = now
	}
	if start.After(before.Start()) {
		return nil
	}
	after := before.Start().Add(time.Second).UTC().Format(time.RFC3339)
	return fmt.Errorf("key %s, its owner's newest, starts at %s, and one that takes over starts later: add --not-before %s", before.ID, before.Start().UTC().Format(time.RFC3339), after)
}

// wanted is what the flags say of a key but its octets.
type wanted struct {
	octets int
	keychain.Window
}
