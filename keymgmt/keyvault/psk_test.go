package keyvault

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/tests/azure"
)

// pskIn is a vault whose secret site has PSKs, and the configuration of its
// keychain.
func pskIn(t *testing.T) (*azure.Cloud, Config) {
	c, cfg := azureCloud(t, azure.Options{})
	cfg.CAK, cfg.CKN, cfg.PSK = "", "", "site"
	return c, cfg
}

// putPSK writes a PSK of 32 octets, which n makes, by the back door.
func putPSK(c *azure.Cloud, id string, n byte, a azure.Attributes) (version string) {
	return c.Put("site", cakOf(n), map[string]string{tagID: id}, a)
}

// What a PSK is called, when it starts and whether it is text: over TLS, as it
// is in the vault.
func TestPSKs(t *testing.T) {
	c, cfg := pskIn(t)
	now := time.Now().UTC().Truncate(time.Second)
	typed := func(value, contentType string) string {
		id := c.Put("site", value, nil, azure.Attributes{})
		c.Edit("site", id, func(v *azure.Version) { v.ContentType = contentType })
		return id
	}
	h := cakOf(1)
	octets := string(must(hex.DecodeString(h)))
	type want struct{ octets, refused string }
	all := map[string]want{}
	all["hub-2026"] = want{octets: string(must(hex.DecodeString(cakOf(9))))}
	tagged := putPSK(c, "hub-2026", 9, azure.Attributes{NotBefore: now.Add(time.Hour), Expires: now.Add(2 * time.Hour)})
	for _, tc := range []struct {
		value, contentType string
		want
	}{
		{h, "", want{octets: octets}},
		{h + "\n", "text/x-hex", want{octets: octets}},
		{h, "text/plain", want{octets: h}},
		{h, " Text/Plain; charset=utf-8", want{octets: h}},
		{h, "application/octet-stream", want{octets: octets}},
		{"a good word\n", "", want{octets: "a good word"}},
		{"a good word", "text/plain", want{octets: "a good word"}},
		{"a good word", "text/x-hex", want{refused: "is not hex: 11 characters"}},
		{h[2:], "text/x-hex", want{refused: "is 31 octets; accepted: 32"}},
		{h[2:], "", want{octets: h[2:]}},
		{strings.Repeat("x", 257), "text/plain", want{refused: "is no PSK: 257 octets"}},
	} {
		all[typed(tc.value, tc.contentType)] = tc.want
	}
	chain, refused, err := Read(t.Context(), "hub1", client(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Zero()
	for id, want := range all {
		p := chain.FindPSK(id)
		i := slices.IndexFunc(refused, func(r Refused) bool { return r.PSK == id })
		switch {
		case want.refused != "":
			if p != nil || i < 0 || !strings.Contains(refused[i].Why, want.refused) || refused[i].Pair != "" {
				t.Errorf("%s: %v, refused %v; want %q", id, p, refused, want.refused)
			}
			continue
		case p == nil || i >= 0:
			t.Errorf("%s is not there, or refused: %v", id, refused)
			continue
		}
		text := len(want.octets) != pskOctets
		if string(p.Secret.Bytes()) != want.octets || p.Text != text {
			t.Errorf("%s: %d octets, text %v; want %d, %v", id, p.Secret.Len(), p.Text, len(want.octets), text)
		}
		switch {
		case id == "hub-2026":
			if !p.NotBefore.Equal(now.Add(time.Hour)) || !p.Expires.Equal(now.Add(2*time.Hour)) || p.Version != tagged {
				t.Errorf("%+v", p)
			}
		// Both ends see the same start, whenever they look.
		case p.NotBefore.Before(now.Add(-time.Minute)) || p.NotBefore.After(time.Now()) || !p.Expires.IsZero() || p.Version != id:
			t.Errorf("%+v", p)
		}
	}
	for _, r := range refused {
		if held.MatchString(r.Why) {
			t.Errorf("a value is told: %s", r.Why)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestPSKLastGood(t *testing.T) {
	const a, d = "psk a1 pair=a exp=20", "psk d1 pair=d"
	for _, tc := range []struct {
		name, psks, refused string
		vault               []string
	}{
		{"disabled", "d", "", []string{"psk a1 pair=a exp=20 off", d}},
		{"all disabled: the last good stay", "a d", "", []string{"psk a1 pair=a exp=20 off", "psk d1 pair=d off"}},
		{"nothing listed", "a d", "a: psk version a1: not listed any more, and a vault cannot delete one version; recover the secret, or disable the PSK to retire it LYING HELD", nil},
		{"a version is not listed", "a d", "a: psk version a1: not listed any more", []string{d}},
		{"written anew", "n", "", []string{"psk n1 pair=n made=11"}},
		{"of another id", "a d", "came back as of PSK \"z\"; a version of another PSK is to be a new version LYING HELD", []string{"psk a1 pair=z exp=20", d}},
		{"without its id", "a d", "came back as of PSK \"\"", []string{"psk a1 exp=20", d}},
		{"a second of its id", "a d", "a: 2 enabled versions have this id; disable all but the right one HELD", []string{a, "psk a2 pair=a", d}},
		{"the tag is wrong", "a d", "a: psk version a1: tag is wrong HELD", []string{a + " wrong", d}},
		{"over for long", "d", "", []string{"psk a1 pair=a exp=1", d}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newState("keychain x")
			s.take(vault(t, a, d), day(10))
			s.take(vault(t, tc.vault...), day(10))
			_, refused, _ := s.take(vault(t, tc.vault...), day(10))
			if got := pairsOf(s.chain); got != tc.psks {
				t.Errorf("%q, want %q", got, tc.psks)
			}
			if got := why(refused); !strings.Contains(got, tc.refused) || (got == "") != (tc.refused == "") {
				t.Errorf("refused %q, want %q", got, tc.refused)
			}
		})
	}
	s := newState("keychain x")
	s.take(vault(t, a, d), day(10))
	lie := vault(t, a+" value=word", d)
	_, refused, _ := s.take(lie, day(10))
	if p := s.chain.FindPSK("a"); p == nil || string(p.Secret.Bytes()) == "word" || len(refused) != 1 || !refused[0].Lying || refused[0].PSK != "a" {
		t.Errorf("another value: %v, %v", p, refused)
	}
	if _, _, fault := newState("keychain x").take(vault(t, "psk x pair=x off"), day(10)); fault == nil || !strings.Contains(fault.Text, "has no PSK that can be used") {
		t.Errorf("%v", fault)
	}
}

func TestPSKWrite(t *testing.T) {
	c, cfg := pskIn(t)
	v := client(t, cfg)
	now := time.Now().UTC().Truncate(time.Second)
	for _, text := range []bool{false, true} {
		p := Pair{ID: fmt.Sprint("hub.", text), Owner: "ce-ams-1 4711", Octets: 32, Text: text, NotBefore: now.Add(time.Minute), Expires: now.Add(time.Hour), Fallback: true, ExpiresHard: true}
		w, err := v.Write(t.Context(), p)
		if err != nil || w.Found != 0 || w.CKN != "" || w.Pinned.Pair != p.ID || w.Pinned.PSK == "" || w.Pinned.CAK+w.Pinned.CKN != "" {
			t.Fatalf("%+v, %v", w, err)
		}
		soundPSK(t, c, p, w)
		again, err := v.Write(t.Context(), p)
		if err != nil || again.Found != 1 || again.Pinned != w.Pinned {
			t.Errorf("again: %+v, %v", again, err)
		}
		chain, refused, err := Read(t.Context(), "hub1", v)
		if err != nil || len(refused) != 0 {
			t.Fatalf("%v, %v", refused, err)
		}
		got := chain.FindPSK(p.ID)
		if got == nil || got.Version != w.Pinned.PSK || got.Text != text || !got.ExpiresHard || !got.Fallback || !got.NotBefore.Equal(p.NotBefore) || !got.Expires.Equal(p.Expires) {
			t.Errorf("%+v", got)
		}
		chain.Zero()
	}
	list, err := v.List(t.Context())
	if err != nil || len(list) != 2 || list[0].State != Complete || list[0].Owner != "ce-ams-1 4711" || list[0].Pinned.PSK == "" {
		t.Errorf("%+v, %v", list, err)
	}
	// One without a tag goes by its version.
	bare := c.Put("site", cakOf(3), nil, azure.Attributes{})
	for _, id := range []string{"hub.true", "hub.true", bare, "absent"} {
		if err := v.Disable(t.Context(), id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if chain, _, err := Read(t.Context(), "hub1", v); err != nil || pairsOf(chain) != "hub.false" {
		t.Errorf("%s, %v", pairsOf(chain), err)
	}
	for _, tc := range []struct {
		p    Pair
		want string
	}{
		{Pair{ID: "a b", Octets: 32}, `PSK id "a b"; accepted`},
		{Pair{ID: "a", Octets: 16}, "PSK a of 16 octets; accepted: 32"},
		{Pair{ID: "hub.false", Octets: 32}, `PSK hub.false in vault ` + v.host + ` belongs to "ce-ams-1 4711", not to ""; write another PSK`},
		{Pair{ID: "hub.true", Owner: "ce-ams-1 4711", Octets: 32}, "is disabled; write another PSK"},
		{Pair{ID: "hub.false", Owner: "ce-ams-1 4711", Octets: 32, Text: true}, "is octets in hex, not text; write another"},
	} {
		if _, err := v.Write(t.Context(), tc.p); err == nil || !strings.Contains(err.Error(), tc.want) || held.MatchString(err.Error()) {
			t.Errorf("%+v: %v, want %q", tc.p, err, tc.want)
		}
	}
	cfg.CAK, cfg.CKN, cfg.PSK = "link1-cak", "link1-ckn", ""
	if _, err := client(t, cfg).Write(t.Context(), Pair{ID: "a", Octets: 32, Text: true}); err == nil || !strings.Contains(err.Error(), "a CAK as text") {
		t.Errorf("a pair as text: %v", err)
	}
}

// soundPSK checks that the vault has the PSK once, as it was asked for.
func soundPSK(t *testing.T, c *azure.Cloud, p Pair, w *Written) {
	t.Helper()
	s, _ := c.Secret("site")
	n := 0
	for _, v := range s.Versions {
		if v.Tags[tagID] != p.ID {
			continue
		}
		n++
		octets, err := hex.DecodeString(v.Value)
		hexed := err == nil && len(octets) == pskOctets && v.ContentType == "text/x-hex"
		worded := len(v.Value) == 52 && strings.Trim(v.Value, "abcdefghijklmnopqrstuvwxyz234567") == "" && v.ContentType == "text/plain"
		if v.ID != w.Pinned.PSK || v.Disabled || hexed == p.Text || worded != p.Text || !v.NotBefore.Equal(p.NotBefore) || !v.Expires.Equal(p.Expires) ||
			v.Tags[tagOwner] != p.Owner || (v.Tags[tagFallback] == "true") != p.Fallback || (v.Tags[tagHard] == "true") != p.ExpiresHard || v.Tags[tagPair] != "" {
			t.Errorf("%s, %s, %v", v.ID, v.ContentType, v.Tags)
		}
	}
	if n != 1 {
		t.Errorf("%d versions of PSK %s", n, p.ID)
	}
}

// TestPSKWriteCrash dies before and after each call of Write and of Disable,
// and does it again: there is never a second version.
func TestPSKWriteCrash(t *testing.T) {
	c, cfg := pskIn(t)
	sure := client(t, cfg)
	points := 0
	for n, ended := 1, false; !ended; n++ {
		ended = true
		for _, after := range []bool{false, true} {
			points++
			p := Pair{ID: fmt.Sprintf("p%d-%v", n, after), Octets: 32, Text: after}
			ended = dies(t, c, cfg, n, after, func(ctx context.Context, v *Client) error { _, err := v.Write(ctx, p); return err }) && ended
			w, err := sure.Write(t.Context(), p)
			if err != nil {
				t.Fatalf("again after call %d (done %v): %v", n, after, err)
			}
			soundPSK(t, c, p, w)
			dies(t, c, cfg, n, after, func(ctx context.Context, v *Client) error { return v.Disable(ctx, p.ID) })
			if err := sure.Disable(t.Context(), p.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if points < 10 {
		t.Errorf("%d points: there are not so few calls", points)
	}
	list, err := sure.List(t.Context())
	if err != nil || len(list) != points {
		t.Fatalf("%d PSKs of %d, %v", len(list), points, err)
	}
	for _, l := range list {
		if l.State != Disabled {
			t.Errorf("after a crash in Disable, again: %+v", l)
		}
	}
}

// A month in which each thing befalls a vault of PSKs: none that was good is
// lost or altered, each is told once, and what is new is found afterwards.
func TestPSKMonth(t *testing.T) {
	first := func(c *azure.Cloud) string { s, _ := c.Secret("site"); return s.Versions[0].ID }
	inject := func(op azure.Op, e azure.Effect) func(*azure.Cloud) func() {
		return func(c *azure.Cloud) func() { return c.Inject(azure.Fault{Op: op, Effect: e}) }
	}
	for _, sc := range []scenario{
		{"outage", func(c *azure.Cloud) func() { c.Refuse(true); return func() { c.Refuse(false) } }, Unreachable, true},
		{"throttled", inject(azure.AnyVault, azure.Status(429, 20*time.Minute)), Throttled, true},
		{"forbidden", inject(azure.AnyVault, azure.Status(403, 0)), Forbidden, true},
		{"lists nothing", inject(azure.OpVersions, azure.Omit()), Lying, true},
		{"leaves a version out", func(c *azure.Cloud) func() {
			return c.Inject(azure.Fault{Op: azure.OpVersions, Effect: azure.Omit(first(c))})
		}, Lying, false},
		{"retags", inject(azure.OpVersions, azure.Retag(map[string]string{tagID: "z"})), Lying, true},
		{"a second of one id", func(c *azure.Cloud) func() {
			id := putPSK(c, "a", 51, azure.Attributes{})
			return func() { c.Disable("site", id) }
		}, RefusedPair, false},
	} {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { pskMonth(t, sc) })
		})
	}
}

func pskMonth(t *testing.T, sc scenario) {
	c, _ := inMemory(t, azure.Options{})
	cfg := configOf(t, c)
	cfg.CAK, cfg.CKN, cfg.PSK = "", "", "site"
	v, err := open(cfg, c.Dial, nil)
	if err != nil {
		t.Fatal(err)
	}
	v.http.IdleConnTimeout = 0
	putPSK(c, "a", 1, azure.Attributes{})
	putPSK(c, "b", 2, azure.Attributes{}) // else one that is not listed could be a secret written anew
	j, log := newJournal()
	s := NewSource("hub1", 4*time.Hour, v, log)
	ctx, stop := context.WithCancel(t.Context())
	tokens := s.Watch(ctx)
	<-tokens
	best := map[string]string{}
	until := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(6 * time.Hour) {
			k, err := s.Load()
			if err != nil {
				t.Fatal(err)
			}
			for id, octets := range best {
				if p := k.FindPSK(id); p == nil || string(p.Secret.Bytes()) != octets {
					t.Fatalf("PSK %s is gone, or another\n%s", id, j)
				}
			}
			for i := range k.PSKs {
				best[k.PSKs[i].ID] = string(k.PSKs[i].Secret.Bytes())
			}
			k.Zero()
		}
	}
	const d = 24 * time.Hour
	until(10 * d)
	end := sc.begin(c)
	until(d)
	putPSK(c, "new", 10, azure.Attributes{})
	until(4 * d)
	if sc.blind != (best["new"] == "") {
		t.Errorf("the new one: %v; blind %v\n%s", best["new"] != "", sc.blind, j)
	}
	if r := s.Report(); len(r.Faults) == 0 || r.Faults[0].Kind != sc.kind || r.Keys != len(best) {
		t.Errorf("reported %+v", r)
	}
	end()
	until(15 * d)
	if r := s.Report(); len(best) != 3 || len(r.Faults) != 0 || r.Keys != 3 {
		t.Errorf("then %d, %+v\n%s", len(best), r, j)
	}
	if n := j.count("fault="+string(sc.kind), "stay in use"); n == 0 || n > 2 || n != j.count("is over") {
		t.Errorf("told %d times\n%s", n, j)
	}
	if held.MatchString(j.String()) {
		t.Errorf("the log has values:\n%s", j)
	}
	stop()
	for range tokens {
	}
	v.Close()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
