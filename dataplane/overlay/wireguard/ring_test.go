package wireguard

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/overlay/wireguard/rollover"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

func TestRing(t *testing.T) {
	var r ring
	a, b, c, late := psk("a", 'a'), psk("b", 'b'), psk("c", 'c'), psk("late", 'l')
	short := keychain.PSK{ID: "short", Secret: secret.New([]byte("too short"))}
	c.ExpiresHard = true
	s := inside(b, a, c, late, short)
	s.All[2].State, s.All[3].State = keychain.Expired, keychain.NotYet
	k := r.take(s)
	if want := []string{b.Secret.Fingerprint(), a.Secret.Fingerprint()}; !slices.Equal(k.Usable, want) {
		t.Errorf("usable %q, want %q", k.Usable, want)
	}
	if want := []string{c.Secret.Fingerprint()}; !slices.Equal(k.Cut, want) {
		t.Errorf("cut %q, want %q", k.Cut, want)
	}
	if !strings.Contains(r.problem, "short") || !strings.Contains(r.problem, "32") {
		t.Errorf("problem %q", r.problem)
	}
	if len(r.held) != 2 {
		t.Errorf("%d PSKs are held, of which 2 may be used", len(r.held))
	}
	// The keychain's own may go: these are clones.
	octets := bytes.Clone(a.Secret.Bytes())
	name := a.Secret.Fingerprint()
	a.Secret.Zero()
	held, err := r.get(name)
	if err != nil || !bytes.Equal(held.Bytes(), octets) || r.id(name) != "a" {
		t.Fatalf("%v, %q", err, r.id(name))
	}
	// It expires and has another id, and is held on to.
	a = psk("renamed", 'a')
	s = inside(b, a)
	s.All[1].State = keychain.Expired
	if k := r.take(s); len(k.Usable) != 1 || len(k.Cut) != 0 || r.id(name) != "renamed" {
		t.Errorf("%+v, id %q", k, r.id(name))
	}
	if found, ok := r.find(a.Secret); !ok || found != name {
		t.Errorf("found %q, %v", found, ok)
	}
	view := held.Bytes()
	r.forget(func(n string) bool { return n != name })
	if _, err := r.get(name); err == nil || !bytes.Equal(view, make([]byte, len(view))) {
		t.Error("what was forgotten is there")
	}
	nobody, err := r.get(rollover.Nobody)
	if err != nil || nobody.Len() != 32 {
		t.Errorf("%v, %v", nobody, err)
	}
	if again, _ := r.get(rollover.Nobody); again != nobody {
		t.Error("nobody's changes while it is in use")
	}
	if none, err := r.get(""); none != nil || err != nil {
		t.Errorf("%v, %v", none, err)
	}
}
