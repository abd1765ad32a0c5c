package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/tests/azure"
)

// aCertificate is a key and its certificate in PEM.
func aCertificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gw.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err1 := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	pkcs8, err2 := x509.MarshalPKCS8PrivateKey(key)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// A tunnel's certificate in a vault: checked, fetched by the helper process,
// listed without its key, and neither written nor rotated by us.
func TestCertificateInVault(t *testing.T) {
	c, path := aTunnel(t, "", `type: ipsec, ipsec: {auth: certificate, keychain: link1, ca: /ca.pem}`)
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.Replace(text, []byte("psk: hub1"), []byte("certificate: gw"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	value := aCertificate(t)
	id := c.Put("gw", value, nil, azure.Attributes{NotBefore: time.Now().Add(-time.Hour), Expires: time.Now().Add(time.Hour)})
	c.Edit("gw", id, func(v *azure.Version) { v.ContentType = "application/x-pem-file" })

	out, errs, st := linkseal(t, "keys", "list", "--config", path)
	if st != 0 || !strings.Contains(out, id+"  certificate, ") || !strings.Contains(out, "active, preferred") || strings.Contains(out+errs, "BEGIN") {
		t.Errorf("%d, %s%s", st, out, errs)
	}
	if out, errs, st = linkseal(t, "keys", "show", id, "--config", path, "--show-keys", "--json"); st != 0 || !strings.Contains(out, `"pem": "-----BEGIN CERTIFICATE`) || !strings.Contains(out, `"certificate": true`) {
		t.Errorf("%d, %s%s", st, out, errs)
	}
	if _, errs, st = linkseal(t, "keys", "generate", "link1", "--config", path); st != 2 || !strings.Contains(errs, "keychain link1 has certificate gw, which the vault makes") {
		t.Errorf("%d, %s", st, errs)
	}

	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s := openVault(*cfg.Keychain("link1"), slog.New(slog.DiscardHandler))
	changed := s.Watch(t.Context())
	<-changed
	chain, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Zero()
	if p := chain.FindPSK(id); len(chain.PSKs) != 1 || p == nil || !p.Certificate || string(p.Secret.Bytes()) != value || p.State(time.Now()) != keychain.Active {
		t.Errorf("%+v", chain)
	}

	r := newRotator(t.TempDir(), nil, slog.New(slog.DiscardHandler))
	r.configured(cfg)
	for _, name := range []string{"hub1", "link1"} {
		own, err := r.keychainOf(name)
		if err == nil {
			err = r.renewed(own)
		}
		if err == nil || !strings.Contains(err.Error(), "the vault renews: have it make a new version") {
			t.Errorf("rotate %s: %v", name, err)
		}
	}
}
