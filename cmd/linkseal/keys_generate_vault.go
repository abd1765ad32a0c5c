package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/keyvault"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

// inVault writes a pair to the vault of k, or completes the one that --pair
// names. The keys are made, and read back, in a child process of its own.
func (f *generateFlags) inVault(ctx context.Context, cfg *config.Config, k *config.Keychain, ports []config.Port, now time.Time) (doc generated, err error) {
	doc.Keychain, doc.Vault = k.Name, k.Vault.URL
	switch {
	case k.Vault.PSK != "":
		return doc, fmt.Errorf("keychain %s holds PSKs of a tunnel; a MACsec key needs a keychain of its own", k.Name)
	case f.showKeys:
		return doc, usage(errors.New("--show-keys does not go with a vault, which keeps the CAK; linkseal keys show reads it"))
	case f.cknLength != 0:
		return doc, usage(errors.New("--ckn-length does not go with a vault: a CKN there is as long as its CAK"))
	}
	want, err := f.window(ports, now)
	if err != nil {
		return doc, err
	}
	pair := keyvault.Pair{ID: f.pair, Octets: want.octets, NotBefore: want.NotBefore, Expires: want.Expires, Fallback: f.fallback, ExpiresHard: f.expiresHard}
	if pair.ID == "" {
		id := make([]byte, 16)
		rand.Read(id) // never fails
		pair.ID = hex.EncodeToString(id)
	}
	if k.Vault.Rotation != nil || f.takeOver {
		if pair.Owner, _, err = ownerOf(cfg, cfg.State); err != nil {
			return doc, err
		}
	}
	vault := keyvault.NewHelper(vaultConfig(k.Vault))
	listed, err := vaultStore{vault}.List(ctx)
	if err != nil {
		return doc, err
	}
	if owned := course.Owned(k.Name, listed, pair.Owner); owned != nil {
		if !f.takeOver {
			return doc, owned
		}
		if err := succeeds(course.Newest(listed), want.NotBefore, now); err != nil {
			return doc, err
		}
	}
	for _, p := range listed {
		if !p.Whole && p.ID != pair.ID {
			doc.halves = append(doc.halves, p.ID)
		}
	}
	w, err := vault.Write(ctx, pair)
	if err != nil {
		return doc, fmt.Errorf("%w; what was written of the pair, --pair %s completes", err, pair.ID)
	}
	window := w.Window()
	doc.keyDocument = keyDocument{CKN: &w.CKN, Octets: want.octets, State: window.State(now), ExpiresHard: f.expiresHard, Fallback: f.fallback,
		NotBefore: status.Given(window.NotBefore), Expires: status.Given(window.Expires), Pair: w.Pinned.Pair, CAKVersion: w.Pinned.CAK, CKNVersion: w.Pinned.CKN}
	return doc, nil
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
	return fmt.Errorf("pair %s, its owner's newest, starts at %s, and one that takes over starts later: add --not-before %s", before.ID, before.Start().UTC().Format(time.RFC3339), after)
}

// wanted is what the flags say of a key but its octets.
type wanted struct {
	octets int
	keychain.Window
}
