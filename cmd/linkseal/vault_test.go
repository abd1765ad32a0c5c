package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/keyvault"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
	"github.com/linkseal/linkseal/tests/azure"
)

// aVault is a local vault, and the path of a configuration whose keychain
// link1 is in it.
func aVault(t *testing.T, rotation string) (c *azure.Cloud, path string) {
	t.Helper()
	c, err := azure.Start(azure.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, e := range c.Env() {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	dir := t.TempDir()
	put := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	text := fmt.Sprintf(`version: 1
name: ce-ams-1
control: {socket: %[1]s/ctl}
state: %[1]s
keychains:
  link1:
    source: azure-key-vault
    vault: %[2]s
    endpoint: %[3]s
    ca: %[4]s
    cak: link1-cak
    ckn: link1-ckn
    credential: {type: client-secret, client_id: %[5]s, tenant_id: %[6]s, secret_file: %[7]s}
    %[8]s
ports:
  - {name: link1, device: eth1, interface: macsec1, keychain: link1}
`, dir, c.URL(), c.Endpoint(), put("ca.pem", string(c.CA())), azure.AppID, azure.Tenant, put("secret", azure.AppSecret), rotation)
	return c, put("linkseal.yaml", text)
}

func linkseal(t *testing.T, args ...string) (out, errs string, status int) {
	t.Helper()
	var o, e bytes.Buffer
	status = execute(args, &o, &e)
	return o.String(), e.String(), status
}

// The keys verbs of a keychain in a vault, the helper process included.
func TestKeysInVault(t *testing.T) {
	c, path := aVault(t, "rotation: {every: 30d}")
	out, errs, st := linkseal(t, "keys", "generate", "link1", "--config", path, "--expires", "30d", "--json")
	var doc generated
	if err := json.Unmarshal([]byte(out), &doc); err != nil || st != 0 || doc.CKN == nil || doc.Pair == "" || doc.CAKVersion == "" || doc.CKNVersion == "" || doc.Octets != 32 || doc.Vault != c.URL() {
		t.Fatalf("%d, %s%s, %v", st, out, errs, err)
	}
	s, _ := c.Secret("link1-cak")
	if len(s.Versions) != 1 || s.Versions[0].Tags["linkseal-pair"] != doc.Pair || !strings.HasPrefix(s.Versions[0].Tags[course.OwnerTag], "ce-ams-1/") {
		t.Fatalf("%+v", s.Versions)
	}
	cak := s.Versions[0].Value
	out, errs, st = linkseal(t, "keys", "list", "--config", path)
	if st != 0 || !strings.Contains(out, "keychain link1 ("+c.URL()+")") || !strings.Contains(out, doc.CKN.String()+"  256 bit") || strings.Contains(out+errs, cak) {
		t.Errorf("%d, %s%s", st, out, errs)
	}
	if out, _, _ = linkseal(t, "keys", "show", doc.CKN.String(), "--config", path, "--show-keys", "--json"); !strings.Contains(out, `"cak": "`+cak+`"`) || !strings.Contains(out, `"pair": "`+doc.Pair+`"`) {
		t.Error(out)
	}
	// Again with the same id finds the same pair; half a pair is told of, and
	// completed.
	if out, _, st = linkseal(t, "keys", "generate", "link1", "--config", path, "--pair", doc.Pair); st != 0 || !strings.Contains(out, doc.CKN.String()) {
		t.Errorf("%d, %s", st, out)
	}
	end := c.Inject(azure.Fault{Op: azure.OpSet, Secret: "link1-cak", Effect: azure.Status(403, 0)})
	if _, errs, st = linkseal(t, "keys", "generate", "link1", "--config", path, "--pair", "half"); st != 1 || !strings.Contains(errs, "--pair half completes") {
		t.Errorf("%d, %s", st, errs)
	}
	end()
	if out, _, _ = linkseal(t, "keys", "list", "--config", path, "--json"); !strings.Contains(out, `"pair half: `) {
		t.Errorf("the half is not named: %s", out)
	}
	if _, errs, st = linkseal(t, "keys", "generate", "link1", "--config", path); st != 0 || !strings.Contains(errs, "of pair half only a half is in the vault") {
		t.Errorf("%d, %s", st, errs)
	}
	if _, errs, st = linkseal(t, "keys", "generate", "link1", "--config", path, "--pair", "half"); st != 0 {
		t.Errorf("%d, %s", st, errs)
	}
	// Somebody else's keychain is left alone.
	c.Put("link1-ckn", strings.Repeat("cd", 32), map[string]string{"linkseal-pair": "z", course.OwnerTag: "them"}, azure.Attributes{NotBefore: time.Now().Add(time.Minute)})
	c.Put("link1-cak", strings.Repeat("ef", 32), map[string]string{"linkseal-pair": "z", course.OwnerTag: "them"}, azure.Attributes{NotBefore: time.Now().Add(time.Minute)})
	if _, errs, st = linkseal(t, "keys", "generate", "link1", "--config", path); st != 1 || !strings.Contains(errs, "is rotated by them") || !strings.Contains(errs, "linkseal keys generate link1 --take-over --config FILE") {
		t.Errorf("%d, %s", st, errs)
	}
	// It is taken over by who says so, with a pair that is newer than theirs.
	if _, errs, st = linkseal(t, "keys", "generate", "link1", "--config", path, "--take-over"); st != 1 || !strings.Contains(errs, "add --not-before ") {
		t.Fatalf("%d, %s", st, errs)
	}
	_, later, _ := strings.Cut(strings.TrimSpace(errs), "--not-before ")
	if _, errs, st = linkseal(t, "keys", "generate", "link1", "--config", path, "--take-over", "--not-before", later); st != 0 {
		t.Fatalf("%d, %s", st, errs)
	}
	if _, errs, st = linkseal(t, "keys", "generate", "link1", "--config", path, "--not-before", "5m"); st != 0 {
		t.Errorf("after it was taken over: %d, %s", st, errs)
	}
}

// simulated is a rotation against a real vault, with ports that follow it at
// once, by a clock of its own.
type simulated struct {
	t       *testing.T
	store   vaultStore
	now     time.Time
	journal []byte
	look    func() course.View
}

func (s *simulated) view() (v course.View) {
	listed, err := s.store.List(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var best *course.Pair
	for i, p := range listed {
		if !p.Whole {
			continue
		}
		v.Keys = append(v.Keys, course.Key{ID: p.ID, CKN: keychain.CKN(p.ID), Start: p.Start()})
		if best == nil || p.Start().After(best.Start()) {
			best = &listed[i]
		}
	}
	if best == nil {
		s.t.Fatal("no pair is left in the vault")
	}
	carries := keychain.CKN(best.ID)
	v.Ports = []course.Port{{Name: "link1", Secured: true, Encoding: carries, PeersEncode: true, SAs: []keychain.CKN{carries},
		Participants: []course.Participant{{CKN: carries, Live: 1}}}}
	return v
}

// TestVaultCrash dies at every call of the vault that a rotation makes,
// before the vault does what was asked and after, and goes on by its
// journal: in the end the new pair is whole, and the old one disabled.
func TestVaultCrash(t *testing.T) {
	c, path := aVault(t, "rotation: {every: 30d}")
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	vault := vaultConfig(cfg.Keychains[0].Vault)
	deaths := 0
	for i, effect := range []azure.Effect{azure.Reset(), azure.Lose(), azure.Status(503, 0)} {
		for n, reached := 0, true; reached; n++ {
			vault.CAK, vault.CKN = fmt.Sprintf("cak-%d-%d", i, n), fmt.Sprintf("ckn-%d-%d", i, n)
			client, err := keyvault.Open(vault)
			if err != nil {
				t.Fatal(err)
			}
			s := &simulated{t: t, store: vaultStore{Vault: client}, now: time.Now()}
			s.look = s.view
			if _, err := s.store.Write(t.Context(), course.Order{ID: "old", Owner: "us", Octets: 32, NotBefore: s.now.Add(-time.Hour)}); err != nil {
				t.Fatal(err)
			}
			died := false
			if reached, died = s.rotate(c, crashPlan(), n, effect); died {
				deaths++
			}
			listed, err := client.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range listed {
				if want := map[bool]keyvault.PairState{true: keyvault.Disabled, false: keyvault.Complete}[l.ID == "old"]; l.State != want || len(listed) != 2 {
					t.Errorf("%s at call %d: pair %s is %s: %s", effect.Name, n, l.ID, l.State, l.Why)
				}
			}
			client.Close()
		}
	}
	if deaths < 20 {
		t.Errorf("it died at %d calls: there are not so few", deaths)
	}
}

func crashPlan() course.Plan {
	return course.Plan{Keychain: "link1", Cause: course.Asked, ID: strings.Repeat("ab", 16), Owner: "us", Octets: 32, Hold: time.Minute, Sweep: true}
}

// rotate runs one rotation to its end; the nth call that it makes goes wrong,
// if there are so many (reached), and the rotation dies of it, if the client
// does not just ask again.
func (s *simulated) rotate(c *azure.Cloud, p course.Plan, n int, effect azure.Effect) (reached, died bool) {
	run := course.Begin(s.now, p)
	for {
		d := run.Next(s.now)
		if d.Kind == course.End {
			break
		}
		var r course.Result
		before := c.Count(azure.AnyVault)
		end := func() {}
		if d.Kind != course.Look && n >= 0 {
			end = c.Inject(azure.Fault{Op: azure.AnyVault, Skip: n, Times: 1, Effect: effect})
		}
		switch d.Kind {
		case course.Look:
			s.now = s.now.Add(d.After)
			r.View = s.look()
		case course.Save:
			s.journal, r.Err = run.Encode()
		case course.List:
			r.Pairs, r.Err = s.store.List(s.t.Context())
		case course.Write:
			r.Pair, r.Err = s.store.Write(s.t.Context(), run.Order)
			if !p.PSK {
				r.Pair.CKN = keychain.CKN(run.Order.ID) // as view names them
			}
		case course.Retire:
			r.Err = s.store.Retire(s.t.Context(), d.ID)
		}
		end()
		if d.Kind != course.Look {
			n -= c.Count(azure.AnyVault) - before
		}
		if r.Err == nil {
			run.Did(s.now, d, r)
			continue
		}
		if died || n >= 0 {
			s.t.Fatalf("%v fails again: %v", d.Kind, r.Err)
		}
		died = true
		if s.journal == nil {
			run = course.Begin(s.now, p)
			continue
		}
		state, err := course.Decode(s.journal)
		if err != nil {
			s.t.Fatal(err)
		}
		run = course.Resume(s.now, state)
	}
	if run.Outcome != course.Done || run.Reached != course.Retired {
		s.t.Errorf("%s: %s at %s: %s", effect.Name, run.Outcome, run.Reached, run.Error)
	}
	return n < 0, died
}
