package ipsec

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// certified is a tunnel whose ends show certificates.
func (w *wire) certified(cert, key, ca string) config.Tunnel {
	t := w.tunnel()
	t.IPsec.Auth, t.IPsec.Keychain = config.AuthCertificate, ""
	t.IPsec.Certificate, t.IPsec.PrivateKey, t.IPsec.CA = cert, key, ca
	t.IPsec.LocalID, t.IPsec.RemoteID = "us.example", "them.example"
	return t
}

// theirs is the stock strongSwan's part.
func theirs(cert, key, ca string) setup {
	return setup{auth: "pubkey", local: "them.example", remote: "us.example", cert: cert, key: key, ca: ca,
		localAuth: "certs = " + cert, rAuth: "cacerts = " + ca}
}

func TestCertificates(t *testing.T) {
	for _, role := range roles() {
		t.Run(role, func(t *testing.T) {
			w := newWire(t, role == "responder")
			p := w.peer()
			c := w.charon()
			ca, other := newAuthority(t, "root"), newAuthority(t, "other")
			ourCert, ourKey := ca.issue("us.example", time.Hour)
			theirCert, theirKey := ca.issue("them.example", time.Hour)
			oldCert, oldKey := ca.issue("old.example", -time.Hour)
			strangeCert, strangeKey := other.issue("them.example", time.Hour)
			for _, tc := range []struct {
				name        string
				theirs      setup
				ours        config.Tunnel
				there, here []string // parts of the problem; none: it is secured
			}{
				{name: "good", theirs: theirs(theirCert, theirKey, ca.path), ours: w.certified(ourCert, ourKey, ca.path)},
				{
					"their certificate is of another issuer", theirs(strangeCert, strangeKey, ca.path), w.certified(ourCert, ourKey, ca.path),
					[]string{"this end refused the certificate of remote THEM", "offered: CN=them.example", "accepted: one that " + ca.path + " has issued", "no certificate here of the issuer of CN=them.example"},
					[]string{"this end refused the certificate of remote THEM", "no certificate here of the issuer of CN=them.example"},
				}, {
					"ours is not accepted", theirs(theirCert, theirKey, other.path), w.certified(ourCert, ourKey, ca.path),
					[]string{"remote THEM refused this end (AUTHENTICATION_FAILED)", "certificate " + ourCert, "local_id us.example"},
					[]string{"remote THEM refused this end (AUTHENTICATION_FAILED)"},
				}, {
					"their certificate has ended", withID(theirs(oldCert, oldKey, ca.path), "old.example"), remoteID(w.certified(ourCert, ourKey, ca.path), "old.example"),
					[]string{"this end refused the certificate of remote THEM", "certificate invalid (valid from"},
					[]string{"this end refused the certificate of remote THEM", "certificate invalid (valid from"},
				}, {
					"our key is another's", theirs(theirCert, theirKey, ca.path), w.certified(ourCert, theirKey, ca.path),
					[]string{"this end has no private key that belongs to certificate " + ourCert},
					[]string{"this end has no private key that belongs to certificate " + ourCert},
				},
			} {
				t.Run(tc.name, func(t *testing.T) {
					w.t, p.w.t = t, t
					p.load(tc.theirs)
					s := w.open(c, tc.ours, keychain.PSKSelection{})
					defer s.Remove()
					want := tc.there
					if role == "responder" {
						want = tc.here
						w.loaded(c, true)
						p.swanctl("--initiate", "--child", "t0", "--timeout", "2")
					}
					if want == nil {
						v := w.secured(s)
						if v.Problem != "" || v.Members[0].KeyID != "" {
							t.Errorf("%+v", v)
						}
						return
					}
					tried, before := 0, 0 // a second after the first another follows
					waitFor(t, 15*time.Second, "a problem is named", func() bool { before, tried = tried, attempts(s); return s.View().Problem != "" })
					v := s.View()
					t.Logf("%s; %s", v.Problem, v.Remedy)
					for _, part := range want {
						if part = strings.ReplaceAll(part, "THEM", w.their); !strings.Contains(v.Problem, part) {
							t.Errorf("problem %q has no %q", v.Problem, part)
						}
					}
					if v.State == overlay.Secured {
						t.Error("it is secured")
					}
					if role == "initiator" && before > 0 && tried > 1 {
						t.Errorf("it took %d attempts", tried)
					}
				})
			}
			w.t = t
		})
	}
}

func withID(s setup, id string) setup { s.local = id; return s }

func remoteID(t config.Tunnel, id string) config.Tunnel { t.IPsec.RemoteID = id; return t }

// Files that are not as they must be are named before charon sees them.
func TestReadCertificate(t *testing.T) {
	ca := newAuthority(t, "root")
	cert, key := ca.issue("us.example", time.Hour)
	open, _ := ca.issue("open.example", time.Hour)
	for _, tc := range []struct {
		name string
		s    config.IPsec
		want string
	}{
		{"good", config.IPsec{Certificate: cert, PrivateKey: key, CA: ca.path}, ""},
		{"no certificate", config.IPsec{Certificate: key, PrivateKey: key, CA: ca.path}, "has no certificate"},
		{"not there", config.IPsec{Certificate: cert + "x", PrivateKey: key, CA: ca.path}, "no such file"},
		{"no CA", config.IPsec{Certificate: cert, PrivateKey: key, CA: cert}, "is no CA's certificate"},
		{"readable by others", config.IPsec{Certificate: cert, PrivateKey: open, CA: ca.path}, "has mode 0644; accepted: 0600"},
	} {
		if err := os.Chmod(open, 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := readCertificate(&tc.s)
		if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
		c.zero()
	}
}
