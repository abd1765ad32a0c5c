package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

const keyed = `version: 1
keychains:
  cak: {source: file, path: /k/cak.yaml}
  psk: {source: file, path: /k/psk.yaml}
  vcak: {source: azure-key-vault, vault: 'https://x', cak: a, ckn: c, credential: {type: managed-identity}}
  vpsk: {source: azure-key-vault, vault: 'https://x', psk: hub1, credential: {type: managed-identity}, rotation: {every: 30d}}
  vcert: {source: azure-key-vault, vault: 'https://x', certificate: gw, credential: {type: managed-identity}}
ports:
  - {name: link1, device: eth1, interface: macsec1, keychain: CAK}
tunnels:
  - name: hub1
    type: wireguard
    device: eth2
    interface: wg1
    local: 10.0.0.4
    remote: 10.0.0.5
    protect: [10.20.0.0/16, 10.21.0.0/16]
    wireguard:
      peer_public_key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
      allowed_ips: [10.20.0.0/16]
      keychain: WG
      peers:
        - {public_key: "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=", allowed_ips: [10.21.0.0/16], keychain: PEER}
  - name: hub2
    type: ipsec
    device: eth2
    interface: ipsec1
    local: 10.0.0.4
    remote: 10.0.0.6
    protect: [10.22.0.0/16]
    ipsec: {profile: azure-vpn-gateway, auth: psk, keychain: IPSEC}
`

func keyedBy(port, wg, peer, ipsec string) string {
	return strings.NewReplacer("CAK}", port+"}", "WG", wg, "PEER", peer, "IPSEC", ipsec).Replace(keyed)
}

// A keychain has CAKs for ports or PSKs for tunnels; who mixes them is told
// where, before a key is read.
func TestKindsOfKeychains(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{keyedBy("cak", "psk", "psk", "psk"), ""},
		{keyedBy("vcak", "vpsk", "vpsk", "vpsk"), ""},
		{keyedBy("vpsk", "psk", "psk", "psk"), "9:63: keychain vpsk has PSKs of tunnels, no CAK; accepted: a keychain with cak and ckn in place of psk"},
		{keyedBy("cak", "vcak", "psk", "psk"), "21:17: keychain vcak has CAKs of ports, no PSK; accepted: a keychain with psk in place of cak and ckn"},
		{keyedBy("cak", "psk", "vcak", "psk"), "23:111: keychain vcak has CAKs of ports"},
		{keyedBy("cak", "psk", "psk", "cak"), "31:62: keychain cak is a port's already: it has CAKs or PSKs, never both; accepted: a keychain of its own for the tunnel"},
		{keyedBy("cak", "psk", "psk", "none"), "31:62: there is no keychain none; accepted: a keychain of this file: cak, psk, vcak, vpsk, vcert"},
		{keyedBy("vcert", "psk", "psk", "psk"), "9:63: keychain vcert has a certificate of tunnels, no CAK; accepted: a keychain with cak and ckn in place of certificate"},
		{keyedBy("cak", "vcert", "psk", "psk"), "21:17: keychain vcert has a certificate, no PSK; accepted: a keychain with psk in place of certificate, or auth: certificate of ipsec"},
		{keyedBy("cak", "psk", "psk", "vcert"), "31:62: keychain vcert has a certificate, no PSK"},
		{strings.Replace(keyedBy("cak", "psk", "psk", "vcert"), "auth: psk,", "auth: certificate, ca: /k/ca.pem,", 1), ""},
		{strings.Replace(keyedBy("cak", "psk", "psk", "vpsk"), "auth: psk,", "auth: certificate, ca: /k/ca.pem,", 1), "31:85: keychain vpsk has no certificate; accepted: a keychain of source azure-key-vault with certificate"},
		{strings.Replace(keyedBy("cak", "psk", "psk", "psk"), "auth: psk, keychain: psk", "auth: certificate, ca: /k/ca.pem, private_key: /k/key", 1), "31:12: ipsec has no certificate; accepted: certificate: the path of a PEM file; or keychain in place of certificate and private_key"},
		{strings.Replace(keyedBy("cak", "psk", "psk", "vcert"), "auth: psk,", "auth: certificate, ca: /k/ca.pem, private_key: /k/key,", 1), "31:88: private_key does not go with keychain, whose vault has both"},
		{strings.Replace(keyedBy("cak", "psk", "psk", "psk"), "certificate: gw", "certificate: gw, rotation: {every: 30d}", 1), "7:83: rotation does not go with certificate, which the vault renews; accepted: leave it out"},
		{strings.Replace(keyedBy("cak", "psk", "psk", "psk"), "psk: hub1", "psk: hub1, ckn: c", 1), "6:71: ckn does not go with psk; accepted: leave it out"},
		{strings.Replace(keyedBy("cak", "psk", "psk", "psk"), "psk: hub1", "psk: hub_1", 1), "6:60: psk: [hidden]; accepted: the name of a secret"},
		{strings.Replace(keyedBy("cak", "psk", "psk", "psk"), "psk: hub1, ", "", 1), "6:9: keychain vpsk has no cak; accepted: cak: the name of a secret in the vault: 1 to 127 letters, digits and dashes; or psk or certificate in place of cak and ckn, for tunnels"},
	} {
		c, err := Parse("l.yaml", tc.text)
		if tc.want == "" {
			if err != nil {
				t.Error(err)
				continue
			}
			for name, psks := range map[string]bool{"cak": false, "vcak": false, "psk": !strings.Contains(tc.text, "keychain: vpsk"), "vpsk": true, "vcert": false} {
				if c.PSKs(*c.Keychain(name)) != psks {
					t.Errorf("PSKs(%s) is not %v", name, psks)
				}
			}
			continue
		}
		var ps strict.Problems
		if !errors.As(err, &ps) || !strings.HasPrefix(ps[0].Error(), "l.yaml:"+tc.want) {
			t.Errorf("%v\nwant %s", err, tc.want)
		}
	}
}

func TestCheckPSKs(t *testing.T) {
	octets := func(id string) keychain.PSK { return keychain.PSK{ID: id, Secret: secret.New(make([]byte, 32))} }
	text := func(id, s string) keychain.PSK {
		return keychain.PSK{ID: id, Text: true, Secret: secret.New([]byte(s))}
	}
	at := func(p keychain.PSK) keychain.PSK {
		p.Origin = keychain.Origin{File: "/k/psk.yaml", Line: 3, Column: 7}
		return p
	}
	parse := func(wg, peer, ipsec string) *Config {
		c, err := Parse("l.yaml", keyedBy("cak", wg, peer, ipsec))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	wg, azure, own := parse("psk", "vpsk", "vpsk"), parse("vpsk", "vpsk", "psk"), parse("vpsk", "vpsk", "psk")
	own.Tunnels[1].IPsec.Profile = "strict"
	peer := parse("psk", "vpsk", "psk")
	for _, tc := range []struct {
		name  string
		c     *Config
		chain string
		psks  []keychain.PSK
		want  string
	}{
		{"octets", wg, "psk", []keychain.PSK{octets("a")}, ""},
		{"none", wg, "psk", nil, "l.yaml:21:17: keychain psk has CAKs of ports, no PSK; accepted: a keychain whose keys have id and psk, or id and psk_text"},
		{"text for WireGuard", wg, "psk", []keychain.PSK{octets("a"), at(text("b", "a good word"))}, "/k/psk.yaml:3:7: PSK b of keychain psk is text, and WireGuard of tunnel hub1 takes octets alone (l.yaml:21:17); accepted: 32 octets: psk with 64 hex digits"},
		{"text of a vault, for a peer", peer, "vpsk", []keychain.PSK{text("b", "a good word")}, "l.yaml:23:111: PSK b of keychain vpsk is text"},
		{"octets for Azure", azure, "psk", []keychain.PSK{octets("a")}, "l.yaml:31:62: PSK a of keychain psk is octets in hex, and an Azure gateway (profile azure-vpn-gateway of tunnel hub2) takes text alone; accepted: psk_text: 1 to 128"},
		{"text for Azure", azure, "psk", []keychain.PSK{text("a", strings.Repeat("x", 128))}, ""},
		{"long for Azure", azure, "psk", []keychain.PSK{text("a", strings.Repeat("x", 129))}, "l.yaml:31:62: PSK a of keychain psk has what an Azure gateway"},
		{"a space for Azure", azure, "psk", []keychain.PSK{text("a", "a good word")}, "l.yaml:31:62: PSK a of keychain psk has what an Azure gateway"},
		{"text", own, "psk", []keychain.PSK{text("a", "a good word"), octets("b")}, ""},
	} {
		var none map[string]*keychain.Keychain
		if ps := tc.c.CheckKeys(none); len(ps) != 0 {
			t.Errorf("an unread keychain is reported: %v", ps)
		}
		ps := tc.c.CheckKeys(map[string]*keychain.Keychain{tc.chain: {PSKs: tc.psks}})
		got := ""
		if len(ps) > 0 {
			got = ps[0].Error()
		}
		if !strings.HasPrefix(got, tc.want) || (tc.want == "") != (len(ps) == 0) || strings.Contains(got, "good word") {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
