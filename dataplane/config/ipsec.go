package config

import (
	"time"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// The least that a CHILD_SA may last, as Azure has it.
const (
	minChildLife   = 300 * time.Second
	minChildOctets = 1024 << 10
	maxSALife      = 30 * 24 * time.Hour
)

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
	seconds(f.Get("dpd"), s.DPD, time.Second, time.Hour)
	switch s.Auth {
	case AuthPSK:
		s.Keychain = d.tunnelKeychain(f.Need("keychain", "the name of a keychain under keychains"), "keychain")
		without(f, "auth: psk", "certificate", "private_key", "ca")
	case AuthCertificate:
		const pem = "the path of a PEM file"
		s.Certificate = d.path(f.Need("certificate", pem))
		s.PrivateKey = d.path(f.Need("private_key", pem+", mode 0600"))
		s.CA = d.path(f.Need("ca", pem))
		without(f, "auth: certificate", "keychain")
	}
	s.Rekey = d.rekey(f.Get("rekey"))
	return s
}

func (d *decoder) rekey(v strict.Value) (r Rekey) {
	f := v.Fields("rekey", "ike", "child", "octets")
	r = Rekey{IKE: f.Get("ike").Duration(0), Child: f.Get("child").Duration(0)}
	r.Octets = uint64(f.Get("octets").Int(0, minChildOctets, 1<<62))
	if f.Has("ike") {
		seconds(f.Get("ike"), r.IKE, time.Minute, maxSALife)
	}
	if f.Has("child") {
		seconds(f.Get("child"), r.Child, minChildLife, maxSALife)
	}
	return r
}
