package main

import (
	"testing"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/status"
)

// A pair that is still being sealed is unsealed to a rotation, without an alarm.
func TestViewUnsealed(t *testing.T) {
	if v := viewOf(status.Status{Unsealed: "not yet"}, "k1"); v.Unsealed != "not yet" {
		t.Errorf("unsealed is %q", v.Unsealed)
	}
}

// A vault spelt otherwise keeps its rotations, and its place is as journals have it.
func TestPlaceOf(t *testing.T) {
	const want = "azure-key-vault https://v.vault.azure.net a c"
	for _, url := range []string{"https://v.vault.azure.net", "https://V.vault.azure.net:443/"} {
		if got := placeOf(config.Keychain{Source: config.SourceVault, Vault: &config.Vault{URL: url, CAK: "A", CKN: "c"}}); got != want {
			t.Errorf("%s: place is %q", url, got)
		}
	}
}
