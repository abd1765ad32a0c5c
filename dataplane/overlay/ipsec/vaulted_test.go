package ipsec

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// versions is a selection of a vault's certificate, the preferred first.
func versions(bundles map[string][]byte, ids ...string) keychain.PSKSelection {
	var s keychain.PSKSelection
	for _, id := range ids {
		k := secret.New(bytes.Clone(bundles[id]))
		s.All = append(s.All, keychain.PSKChoice{PSK: &keychain.PSK{ID: id, Secret: k, Certificate: true}, State: keychain.Active})
	}
	return s
}

// vaulted is a tunnel whose certificate is its keychain's.
func (w *wire) vaulted(ca string) config.Tunnel {
	t := w.certified("", "", ca)
	t.IPsec.Keychain = "cert"
	return t
}

// A vault's certificate is changed for the next version under traffic, make
// before break, and the old key goes; one that the peer does not accept is named,
// and the tunnel goes on under the one before; a linkseal that is killed in
// between goes on with it.
func TestVaultCertificate(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	ca, other := newAuthority(t, "root"), newAuthority(t, "other")
	mid := ca.below("between")
	theirCert, theirKey := ca.issue("them.example", time.Hour)
	bundles := map[string][]byte{
		"v1": ca.bundle("us.example"), "v2": mid.bundle("us.example", mid), "v3": other.bundle("us.example"), "v4": ca.bundle("us.example"),
	}
	p.load(theirs(theirCert, theirKey, ca.path))
	c := w.charon()
	cfg := w.vaulted(ca.path)
	s := w.open(c, cfg, keychain.PSKSelection{})
	waitFor(t, 15*time.Second, "it says that there is none", func() bool {
		return strings.Contains(s.View().Problem, "no certificate of keychain cert is inside its window")
	})
	under := func(id string) {
		t.Helper()
		waitFor(t, 60*time.Second, "the tunnel is under "+id, func() bool {
			m := s.View().Members[0]
			return m.KeyID == id && m.Live && len(m.SPIIn) == 1
		})
		waitFor(t, 10*time.Second, "its key is the only one", func() bool {
			keys, err := c.process().Keys()
			return err == nil && len(keys) == 1
		})
	}
	s.SetPSKs(versions(bundles, "v1"))
	under("v1")
	flows := w.both(5*time.Millisecond, s.View().Members[0].Interface, w.far)
	s.SetPSKs(versions(bundles, "v2", "v1"))
	under("v2") // of an issuer that the peer has never seen
	s.Close()
	c.Close()
	var err error
	if c, err = NewCharon(c.o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s = w.open(c, cfg, versions(bundles, "v2", "v1"))
	under("v2")

	s.SetPSKs(versions(bundles, "v3", "v2"))
	waitFor(t, 15*time.Second, "v3 is refused", func() bool {
		return strings.Contains(s.View().Problem, "has not accepted certificate v3 yet, and the tunnel goes on under the one before")
	})
	if v := s.View(); !v.Members[0].Live || v.Members[0].KeyID != "v2" {
		t.Errorf("%+v", v)
	}
	s.SetPSKs(versions(bundles, "v4", "v2"))
	under("v4")
	lostNone(t, flows)
	// The peer authenticates us by the new one: its charon has it.
	if out, err := p.swanctl("--list-sas"); err != nil || strings.Count(out, "ESTABLISHED") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
	if err := s.Remove(); err != nil {
		t.Error(err)
	}
	if keys, err := c.process().Keys(); err != nil || len(keys) > 0 {
		t.Errorf("charon has the keys %v, %v", keys, err)
	}
}

// A certificate whose file is replaced is shown to the peer soon, make before
// break.
func TestCertificateFile(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	ca := newAuthority(t, "root")
	cert, key := ca.issue("us.example", time.Hour)
	theirCert, theirKey := ca.issue("them.example", time.Hour)
	p.load(theirs(theirCert, theirKey, ca.path))
	c := w.charon()
	s := w.open(c, w.certified(cert, key, ca.path), keychain.PSKSelection{})
	m := w.secured(s).Members[0]
	flows := w.both(5*time.Millisecond, m.Interface, w.far)
	before := p.established()
	keys, err := c.process().Keys()
	if err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v", keys, err)
	}
	ca.issue("us.example", time.Hour) // into the same files
	waitFor(t, 30*time.Second, "the peer has another IKE_SA, and one", func() bool {
		now := p.established()
		return len(now) == 1 && now[0] != before[0]
	})
	if now, err := c.process().Keys(); err != nil || len(now) != 1 || now[0] == keys[0] {
		t.Errorf("the keys were %v, and are %v, %v", keys, now, err)
	}
	lostNone(t, flows)
}
