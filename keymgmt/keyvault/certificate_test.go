package keyvault

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/tests/azure"
)

// pair is a key with its certificate, and in PEM as a vault has them.
type pair struct {
	key *ecdsa.PrivateKey
	der []byte
}

func newPair(t *testing.T, name string) pair {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	return pair{key, must(x509.CreateCertificate(rand.Reader, c, c, key.Public(), key))}
}

func (p pair) certificate() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.der}))
}

func (p pair) private() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(p.key))}))
}

func (p pair) sec1() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(p.key))}))
}

// What a vault serves of a certificate is PEM, in one order, or refused with the
// reason and nothing of it.
func TestCertificateValues(t *testing.T) {
	a, b := newPair(t, "a"), newPair(t, "b")
	good := a.certificate() + b.certificate() + a.private()
	p12 := func(name string) string { return string(must(os.ReadFile(filepath.Join("testdata", name)))) }
	for _, tc := range []struct{ name, contentType, value, want, wrong string }{
		{"PEM", "application/x-pem-file", good, good, ""},
		{"another order", "Application/X-PEM-File; x=y", a.private() + b.certificate() + a.certificate(), good, ""},
		{"SEC1", "application/x-pem-file", a.sec1() + a.certificate() + b.certificate(), good, ""},
		{"PKCS#12", "application/x-pkcs12", p12("certificate.p12.b64"), "CN=gw.example", ""},
		{"PKCS#12 in one line", "application/x-pkcs12", strings.ReplaceAll(p12("certificate.p12.b64"), "\n", ""), "CN=gw.example", ""},
		{"PKCS#12 of PBES2", "application/x-pkcs12", p12("certificate-pbes2.p12.b64"), "", "or a certificate whose policy has the content type application/x-pem-file"},
		{"no base64", "application/x-pkcs12", good, "", "is no PKCS#12 in base64"},
		{"a secret", "text/plain", good, "", `has the content type "text/plain"; accepted: application/x-pem-file, application/x-pkcs12`},
		{"no content type", "", good, "", "has the content type"},
		{"no key", "application/x-pem-file", a.certificate(), "", "has no private key; accepted"},
		{"two keys", "application/x-pem-file", good + b.private(), "", "or two; accepted: one"},
		{"another's key", "application/x-pem-file", b.certificate() + a.private(), "", "has no certificate that belongs to its private key"},
		{"a broken certificate", "application/x-pem-file", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})) + a.private(), "", "has a certificate that cannot be read"},
		{"too long", "application/x-pem-file", strings.Repeat(b.certificate(), 100) + a.certificate() + a.private(), "", "octets of PEM; accepted: up to 32768"},
	} {
		var ct *string
		if tc.contentType != "" {
			ct = &tc.contentType
		}
		text := []byte(tc.value)
		v := decodeCertificate(Ref{Certificate, "v"}, ct, text)
		if len(bytes.Trim(text, "\x00")) > 0 {
			t.Errorf("%s: the value is not zeroed", tc.name)
		}
		if tc.wrong != "" {
			if v.Octets != nil || !strings.Contains(v.Wrong, tc.wrong) || strings.Contains(v.Wrong, "BEGIN") {
				t.Errorf("%s: %q, want %q", tc.name, v.Wrong, tc.wrong)
			}
			continue
		}
		got := string(v.Octets.Bytes())
		if name, is := strings.CutPrefix(tc.want, "CN="); is {
			block, rest := pem.Decode([]byte(got))
			if block == nil || must(x509.ParseCertificate(block.Bytes)).Subject.CommonName != name || !bytes.HasPrefix(rest, []byte("-----BEGIN PRIVATE KEY-----")) {
				t.Errorf("%s: %s", tc.name, v.Wrong)
			}
		} else if got != tc.want {
			t.Errorf("%s: it is not as it is to be: %s", tc.name, v.Wrong)
		}
		v.Octets.Zero()
	}
}

// A certificate's versions are a keychain: over TLS, the newest preferred, kept
// while the vault fails, and refused by name.
func TestCertificate(t *testing.T) {
	c, cfg := azureCloud(t, azure.Options{})
	cfg.CAK, cfg.CKN, cfg.Certificate = "", "", "gw"
	now := time.Now().UTC().Truncate(time.Second)
	put := func(value, contentType string, a azure.Attributes) string {
		id := c.Put("gw", value, nil, a)
		c.Edit("gw", id, func(v *azure.Version) { v.ContentType = contentType })
		return id
	}
	a, b := newPair(t, "a"), newPair(t, "b")
	older := put(a.certificate()+a.private(), typePEM, azure.Attributes{NotBefore: now.Add(-2 * time.Hour), Expires: now.Add(time.Hour)})
	newer := put(b.certificate()+b.private(), typePEM, azure.Attributes{NotBefore: now.Add(-time.Hour), Expires: now.Add(2 * time.Hour)})
	bad := put("word", "text/plain", azure.Attributes{})
	v := client(t, cfg)
	chain, refused, err := Read(t.Context(), "cert", v)
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Zero()
	s := chain.SelectPSKs(now)
	if len(s.All) != 2 || s.Preferred.ID != newer || s.All[1].ID != older || !s.Preferred.Certificate || s.Preferred.Text || !s.Preferred.Expires.Equal(now.Add(2*time.Hour)) {
		t.Errorf("%+v", s)
	}
	if string(s.Preferred.Secret.Bytes()) != b.certificate()+b.private() {
		t.Error("the newest is another")
	}
	if len(refused) != 1 || refused[0].Version != "certificate "+bad || !strings.Contains(refused[0].Why, "has the content type") {
		t.Errorf("refused %+v", refused)
	}
	if _, err := v.Write(t.Context(), Pair{ID: "x", Octets: 32}); err == nil || !strings.Contains(err.Error(), "linkseal writes none") {
		t.Errorf("it is written: %v", err)
	}
	// Of an earlier run, it is asked for once more, and held against the vault.
	st := newState("keychain cert")
	st.restore(chain)
	if st.have() != nil || len(st.values) != 2 || !slices.ContainsFunc(wanted(must(v.Fetch(t.Context(), Request{Now: now})).Versions, nil, now), func(r Ref) bool { return r == Ref{Certificate, newer} }) {
		t.Errorf("have %v of %v", st.have(), st.values)
	}
	answer := must(v.Fetch(t.Context(), Request{Now: now}))
	if changed, _, fault := st.take(answer, now); changed || fault != nil || len(st.have()) != 2 {
		t.Errorf("changed %v, %v, have %v", changed, fault, st.have())
	}
	if !keychain.Equal(st.chain, chain) {
		t.Error("it is another keychain")
	}
	st.zero()
	for _, id := range []string{older, newer, bad} {
		c.Edit("gw", id, func(v *azure.Version) { v.Disabled = true })
	}
	if _, _, err := Read(t.Context(), "cert", v); err == nil || !strings.Contains(err.Error(), "has no certificate that can be used; have the vault make one") {
		t.Errorf("all are disabled: %v", err)
	}
}
