package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/keyvault"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
	"github.com/linkseal/linkseal/tests/azure"
)

// aTunnel is aVault whose keychain has PSKs, of a tunnel of this type.
func aTunnel(t *testing.T, rotation, own string) (c *azure.Cloud, path string) {
	t.Helper()
	c, path = aVault(t, rotation)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "ports:\n")
	head = strings.Replace(head, "    cak: link1-cak\n    ckn: link1-ckn\n", "    psk: hub1\n", 1)
	head += "tunnels:\n  - {name: hub1, device: eth1, interface: hub1, local: 10.0.0.4, remote: 10.0.0.5, protect: [10.20.0.0/16], " + own + "}\n"
	if err := os.WriteFile(path, []byte(head), 0o600); err != nil {
		t.Fatal(err)
	}
	return c, path
}

const (
	aWireGuard = `type: wireguard, wireguard: {peer_public_key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", keychain: link1}`
	anIPsec    = `type: ipsec, ipsec: {profile: azure-vpn-gateway, auth: psk, keychain: link1}`
)

// The keys verbs of PSKs in a vault, the helper process included.
func TestPSKsInVault(t *testing.T) {
	for own, text := range map[string]bool{aWireGuard: false, anIPsec: true} {
		c, path := aTunnel(t, "rotation: {every: 30d}", own)
		out, errs, st := linkseal(t, "keys", "generate", "link1", "--config", path, "--expires", "30d", "--json")
		var doc generated
		if err := json.Unmarshal([]byte(out), &doc); err != nil || st != 0 || doc.CKN != nil || doc.ID == "" || doc.Version == "" || doc.Text != text || doc.Octets != 32 || doc.NotBefore == nil || doc.Vault != c.URL() {
			t.Fatalf("%d, %s%s, %v", st, out, errs, err)
		}
		s, _ := c.Secret("hub1")
		v := s.Versions[0]
		if len(s.Versions) != 1 || v.ID != doc.Version || v.Tags["linkseal-id"] != doc.ID || v.Tags["linkseal-pair"] != "" || !strings.HasPrefix(v.Tags[course.OwnerTag], "ce-ams-1/") ||
			len(v.Value) != map[bool]int{false: 64, true: 52}[text] || v.ContentType != map[bool]string{false: "text/x-hex", true: "text/plain"}[text] {
			t.Fatalf("%+v", s.Versions)
		}
		out, errs, st = linkseal(t, "keys", "list", "--config", path)
		if st != 0 || !strings.Contains(out, "keychain link1 ("+c.URL()+")") || !strings.Contains(out, doc.ID+"  ") || !strings.Contains(out, "active, preferred") || strings.Contains(out+errs, v.Value) {
			t.Errorf("%d, %s%s", st, out, errs)
		}
		shown := map[bool]string{false: `"psk": "`, true: `"psk_text": "`}[text] + v.Value + `"`
		if out, _, _ = linkseal(t, "keys", "show", doc.ID, "--config", path, "--show-keys", "--json"); !strings.Contains(out, shown) || !strings.Contains(out, `"version": "`+doc.Version+`"`) {
			t.Error(out)
		}
		if text {
			continue // the rest is alike
		}
		// Again with the same id finds the same PSK.
		if out, _, st = linkseal(t, "keys", "generate", "link1", "--config", path, "--id", doc.ID); st != 0 || !strings.Contains(out, "version:     "+doc.Version) {
			t.Errorf("%d, %s", st, out)
		}
		end := c.Inject(azure.Fault{Op: azure.OpSet, Secret: "hub1", Effect: azure.Status(403, 0)})
		if _, errs, st = linkseal(t, "keys", "generate", "link1", "--config", path, "--id", "lost"); st != 1 || !strings.Contains(errs, "--id lost finds it") {
			t.Errorf("%d, %s", st, errs)
		}
		end()
		// What is refused is named; somebody else's keychain is left alone.
		c.Put("hub1", "x", map[string]string{"linkseal-id": "bad", "linkseal-fallback": "maybe"}, azure.Attributes{})
		if out, _, _ = linkseal(t, "keys", "list", "--config", path); !strings.Contains(out, "refused: PSK bad: psk version ") {
			t.Errorf("the refused one is not named: %s", out)
		}
		c.Put("hub1", v.Value, map[string]string{"linkseal-id": "z", course.OwnerTag: "them"}, azure.Attributes{NotBefore: time.Now().Add(time.Minute)})
		if _, errs, st = linkseal(t, "keys", "generate", "link1", "--config", path); st != 1 || !strings.Contains(errs, "whose tag linkseal-owner its newest PSK z carries") {
			t.Errorf("%d, %s", st, errs)
		}
		if _, errs, st = linkseal(t, "keys", "generate", "link1", "--config", path, "--take-over", "--not-before", "2m"); st != 0 {
			t.Errorf("%d, %s", st, errs)
		}
	}
}

// tunnelView is a tunnel of two members that follows the vault at once.
func (s *simulated) tunnelView() (v course.View) {
	listed, err := s.store.List(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var best *course.Pair
	for i, p := range listed {
		if !p.PSK || !p.Whole {
			s.t.Errorf("%+v", p)
		}
		v.Keys = append(v.Keys, course.Key{ID: p.ID, CKN: keychain.CKN(p.ID), Start: p.Start()})
		if p.State(s.now) == keychain.Active && (best == nil || p.Start().After(best.Start())) {
			best = &listed[i]
		}
	}
	if best == nil {
		s.t.Fatal("no PSK is left in the vault")
	}
	on := keychain.CKN(best.ID)
	v.Ports = []course.Port{{Name: "hub1", Secured: true, Encoding: on, PeersEncode: true, SAs: []keychain.CKN{on, on},
		Participants: []course.Participant{{CKN: on, Live: 2}}}}
	return v
}

// TestPSKVaultCrash is TestVaultCrash of a PSK: in the end there is one version
// of the new one, and the old is disabled.
func TestPSKVaultCrash(t *testing.T) {
	c, path := aTunnel(t, "rotation: {every: 30d}", aWireGuard)
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	vault := vaultConfig(cfg.Keychains[0].Vault)
	deaths := 0
	for i, effect := range []azure.Effect{azure.Status(503, 0), azure.Lose()} { // before it is done, and after
		for n, reached := 0, true; reached; n++ {
			vault.PSK = fmt.Sprintf("psk-%d-%d", i, n)
			client, err := keyvault.Open(vault)
			if err != nil {
				t.Fatal(err)
			}
			s := &simulated{t: t, store: vaultStore{client, true}, now: time.Now()}
			s.look = s.tunnelView
			if _, err := s.store.Write(t.Context(), course.Order{ID: "old", Owner: "us", Octets: 32, NotBefore: s.now.Add(-time.Hour)}); err != nil {
				t.Fatal(err)
			}
			died := false
			p := crashPlan()
			p.PSK, p.Lead = true, time.Minute
			if reached, died = s.rotate(c, p, n, effect); died {
				deaths++
			}
			listed, err := client.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range listed {
				if want := map[bool]keyvault.PairState{true: keyvault.Disabled, false: keyvault.Complete}[l.ID == "old"]; l.State != want || len(listed) != 2 {
					t.Errorf("%s at call %d: PSK %s is %s: %s", effect.Name, n, l.ID, l.State, l.Why)
				}
			}
			client.Close()
		}
	}
	if deaths < 8 {
		t.Errorf("it died at %d calls: there are not so few", deaths)
	}
}
