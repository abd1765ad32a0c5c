package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/suite"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// maxSALife bounds what is taken for a lifetime; the least is the suite's.
const maxSALife = 30 * 24 * time.Hour

func (d *decoder) ipsec(v strict.Value, t Tunnel) *IPsec {
	f := v.Fields("ipsec", "profile", "local_id", "remote_id", "auth", "keychain", "mode", "ike", "esp", "allow_weak",
		"certificate", "private_key", "ca", "dpd", "rekey")
	id := func(key string) string {
		v := f.Get(key)
		if v.IsEmptyText() {
			return ""
		}
		return d.text(v, "", "an IKE identity", func(s string) bool { return len(s) <= 255 })
	}
	s := &IPsec{
		Profile:   d.text(f.Get("profile"), "", "the name of a profile as azure-vpn-gateway", nameForm.MatchString),
		LocalID:   id("local_id"),
		RemoteID:  id("remote_id"),
		Auth:      f.Get("auth").OneOf(AuthPSK, AuthPSK, AuthCertificate),
		Mode:      f.Get("mode").OneOf(ModeTunnel, ModeTunnel, ModeTransport),
		IKE:       d.words(f.Get("ike"), "proposal"),
		ESP:       d.words(f.Get("esp"), "proposal"),
		AllowWeak: f.Get("allow_weak").Bool(false),
		DPD:       f.Get("dpd").Duration(10 * time.Second),
	}
	if s.Auth == AuthPSK && anyone(s.RemoteID) {
		f.Get("remote_id").Wrong(fmt.Sprintf("remote_id %s is that of anybody, whom the PSK would then admit, also in the place of another tunnel's remote", s.RemoteID),
			"the remote's own identity, or none: its address; or auth: certificate")
	}
	seconds(f.Get("dpd"), s.DPD, time.Second, maxSALife)
	switch s.Auth {
	case AuthPSK:
		s.Keychain = d.tunnelKeychain(f.Need("keychain", "the name of a keychain under keychains"), "keychain")
		without(f, "auth: psk", "certificate", "private_key", "ca")
	case AuthCertificate:
		const pem = "the path of a PEM file"
		s.CA = d.path(f.Need("ca", pem))
		if f.Has("keychain") {
			s.Keychain = d.certificateKeychain(f.Get("keychain"))
			without(f, "keychain, whose vault has both", "certificate", "private_key")
			break
		}
		s.Certificate = d.path(f.Need("certificate", pem+"; or keychain in place of certificate and private_key, one of azure-key-vault with certificate"))
		s.PrivateKey = d.path(f.Need("private_key", pem+", mode 0600"))
	}
	s.Rekey = d.rekey(f.Get("rekey"))
	for _, p := range suite.Check(s.settings(t.Dataplane == Userspace)) {
		at(f, v, p.Path).Wrong(p.What, p.Accepted)
	}
	return s
}

// anyone tells of an identity that charon takes for all (identification_create_from_string,
// contains_wildcards).
func anyone(id string) bool {
	return strings.HasPrefix(id, "%any") || strings.Contains(id, "*") || id == "0.0.0.0" || id == "::" || id == "0::0"
}

// settings are those that s has for its suites.
func (s *IPsec) settings(userspace bool) suite.Settings {
	return suite.Settings{Profile: s.Profile, IKE: s.IKE, ESP: s.ESP, AllowWeak: s.AllowWeak, Userspace: userspace, Transport: s.Mode == ModeTransport,
		Lifetimes: suite.Lifetimes{IKE: s.Rekey.IKE, Child: s.Rekey.Child, Octets: s.Rekey.Octets, DPD: s.DPD}}
}

// at is the value at a path below ipsec, v itself where that is a default.
func at(f strict.Fields, v strict.Value, path string) strict.Value {
	key, rest, below := strings.Cut(path, ".")
	found := f.Get(key)
	if below && found.Given() {
		if n, err := strconv.Atoi(rest); err == nil {
			if list := found.List("proposal", ""); n < len(list) {
				found = list[n]
			}
		} else if inner := found.Map(key, "").Get(rest); inner.Given() {
			found = inner
		}
	}
	if !found.Given() {
		return v
	}
	return found
}

func (d *decoder) rekey(v strict.Value) (r Rekey) {
	f := v.Fields("rekey", "ike", "child", "octets")
	r = Rekey{IKE: f.Get("ike").Duration(0), Child: f.Get("child").Duration(0)}
	r.Octets = uint64(f.Get("octets").Int(0, 1, 1<<62))
	if f.Has("ike") {
		seconds(f.Get("ike"), r.IKE, time.Second, maxSALife)
	}
	if f.Has("child") {
		seconds(f.Get("child"), r.Child, time.Second, maxSALife)
	}
	return r
}
