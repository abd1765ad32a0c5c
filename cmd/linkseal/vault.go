package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/dataplane/status/vault"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/keyvault"
)

// vaultConfig is a configuration's vault as package keyvault has it.
func vaultConfig(v *config.Vault) keyvault.Config {
	c := v.Credential
	c.File = absolute(c.File)
	return keyvault.Config{URL: v.URL, Endpoint: v.Endpoint, CA: absolute(v.CA), Proxy: v.Proxy, CAK: v.CAK, CKN: v.CKN, PSK: v.PSK, Certificate: v.Certificate,
		Credential: keyvault.Credential{Type: c.Type, ClientID: c.ClientID, TenantID: c.TenantID, File: c.File}}
}

// absolute is a path that the helper, which runs in another directory, finds.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// vaultSource is a vault as a source of keys.
type vaultSource struct{ *keyvault.Source }

func openVault(k config.Keychain, log *slog.Logger) vaultSource {
	return vaultSource{keyvault.NewSource(k.Name, k.Vault.Poll, keyvault.NewHelper(vaultConfig(k.Vault)), log)}
}

// Load implements reconcile.Source.
func (s vaultSource) Load() (*keychain.Keychain, error) {
	chain, err := s.Source.Load()
	if !errors.Is(err, keyvault.ErrNone) {
		return chain, err
	}
	// The source logs what keeps it.
	if faults := s.Source.Report().Faults; len(faults) > 0 {
		return nil, fmt.Errorf("%w: %s: %s", keychain.ErrPending, faults[0].Kind, faults[0].Text)
	}
	return nil, keychain.ErrPending
}

// Report implements reconcile.Reporting.
func (s vaultSource) Report(k *status.Keychain) {
	r := s.Source.Report()
	k.Vault, k.Sealed = vault.Of(r), r.Restored
}
