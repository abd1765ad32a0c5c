package conn

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/tests/golden"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func tunnel(edit func(*config.Tunnel)) config.Tunnel {
	t := config.Tunnel{
		Name: "hub1", Type: config.TypeIPsec, Device: "eth1", Interface: "ipsec-hub1",
		Local: addr("10.0.0.4"), Remote: addr("10.20.0.5"), Count: 1, Must: true,
		Protect: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")},
		IPsec:   &config.IPsec{Profile: "azure-vpn-gateway", Auth: config.AuthPSK, Keychain: "k", Mode: config.ModeTunnel, DPD: 10 * time.Second},
	}
	if edit != nil {
		edit(&t)
	}
	return t
}

// inputs are the golden files' connections, by name.
var inputs = map[string]Input{
	"azure": {Tunnel: tunnel(nil)},
	"strict-kernel": {Tunnel: tunnel(func(t *config.Tunnel) {
		t.IPsec.Profile, t.CopyDSCP = "strict", true
		t.Protect = append(t.Protect, netip.MustParsePrefix("2001:db8::/32"))
		t.IPsec.Rekey = config.Rekey{IKE: time.Hour, Child: 30 * time.Minute, Octets: 1 << 30}
	})},
	"strict-userspace": {Userspace: true, Tunnel: tunnel(func(t *config.Tunnel) { t.IPsec.Profile = "" })},
	"member": {Member: 3, Tunnel: tunnel(func(t *config.Tunnel) {
		t.Count, t.IPsec.LocalID, t.IPsec.RemoteID = 4, "gw.example", ""
	})},
	"transport": {Tunnel: tunnel(func(t *config.Tunnel) {
		t.IPsec.Profile, t.IPsec.Mode, t.Interface = "strict", config.ModeTransport, ""
		t.Local, t.Remote = addr("fd00::4"), addr("fd00::5")
		t.Protect = []netip.Prefix{netip.MustParsePrefix("fd00::5/128")}
	})},
	"certificate": {
		Tunnel: tunnel(func(t *config.Tunnel) {
			t.IPsec.Auth, t.IPsec.Keychain = config.AuthCertificate, ""
			t.IPsec.RemoteID = "hub.example"
		}),
		Certificate: []byte("0\x03not DER"), CA: [][]byte{[]byte("one"), []byte("two")},
	},
	"weak": {Tunnel: tunnel(func(t *config.Tunnel) {
		t.IPsec.Profile, t.IPsec.AllowWeak = "", true
		t.IPsec.IKE, t.IPsec.ESP = []string{"aes256-sha256-modp2048", "3des-sha1-modp1024"}, []string{"aes256-sha256"}
	})},
}

func TestBuild(t *testing.T) {
	for name, in := range inputs {
		s, err := Build(in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		path := filepath.Join("testdata", name+".conf")
		golden.Check(t, path, s.String())
	}
}

func TestBuildRefuses(t *testing.T) {
	in := Input{Tunnel: tunnel(func(t *config.Tunnel) { t.IPsec.ESP = []string{"3des-md5"} })}
	if s, err := Build(in); err == nil {
		t.Errorf("built %s", s)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name, tunnel string
		n            int
		ok           bool
	}{
		{"linkseal.hub1.0", "hub1", 0, true},
		{"linkseal.hub.1.12", "hub.1", 12, true},
		{"linkseal.hub1", "", 0, false},
		{"linkseal..1", "", 0, false},
		{"linkseal.hub1.01", "", 0, false},
		{"linkseal.hub1.-1", "", 0, false},
		{"linkseal.hub1.x", "", 0, false},
		{"hub1.0", "", 0, false},
		{"", "", 0, false},
	} {
		tunnel, n, ok := Tunnel(c.name)
		if tunnel != c.tunnel || n != c.n || ok != c.ok {
			t.Errorf("Tunnel(%q) = %q, %d, %v", c.name, tunnel, n, ok)
		}
		if ok && Name(tunnel, n) != c.name {
			t.Errorf("Name(%q, %d) = %q", tunnel, n, Name(tunnel, n))
		}
	}
}

func TestIdentities(t *testing.T) {
	for _, c := range []struct {
		local, remote, auth   string
		n                     int
		wantLocal, wantRemote string
	}{
		{"", "", config.AuthPSK, 0, "10.0.0.4", "10.20.0.5"},
		{"", "hub.example", config.AuthPSK, 2, "2.10.0.0.4", "2.hub.example"},
		{"CN=us, O=we", "", config.AuthCertificate, 1, "CN=us, O=we", "%any"},
		{"", "hub.example", config.AuthCertificate, 0, "", "hub.example"},
	} {
		cfg := tunnel(func(t *config.Tunnel) { t.IPsec.LocalID, t.IPsec.RemoteID, t.IPsec.Auth = c.local, c.remote, c.auth })
		if l, r := Identities(cfg, c.n); l != c.wantLocal || r != c.wantRemote {
			t.Errorf("%q, %q, member %d: %q, %q; want %q, %q", c.local, c.remote, c.n, l, r, c.wantLocal, c.wantRemote)
		}
	}
}
