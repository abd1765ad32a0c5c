package main

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/rotate"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

// A pair that is still being sealed is unsealed to a rotation, without an alarm.
func TestViewUnsealed(t *testing.T) {
	if v := viewOf(status.Status{Unsealed: "not yet"}, "k1", nil); v.Unsealed != "not yet" {
		t.Errorf("unsealed is %q", v.Unsealed)
	}
}

// A tunnel's live members are told apart by the PSKs of their last handshakes;
// the oldest of them carries what has yet to move.
func TestViewTunnel(t *testing.T) {
	at := func(h int) *time.Time { t := time.Date(2026, 11, 1, h, 0, 0, 0, time.UTC); return &t }
	keys := []status.Key{{ID: "new", NotBefore: at(2)}, {ID: "old", FirstSeen: at(1)}, {ID: "spare", NotBefore: at(0), Fallback: true}}
	member := func(id string, live bool) status.Member { return status.Member{KeyID: id, Live: live} }
	hub := func(peers ...status.TunnelPeer) status.Member {
		return status.Member{KeyID: peers[0].KeyID, Live: true, Peers: peers}
	}
	peer := func(chain, id string, live bool) status.TunnelPeer {
		return status.TunnelPeer{Keychain: chain, KeyID: id, Live: live}
	}
	for _, tc := range []struct {
		name     string
		state    string
		members  []status.Member
		encoding string
		parts    []course.Participant
		sas      int
	}{
		{"none is live", status.Unsecured, []status.Member{member("old", false)}, "", nil, 0},
		{"one", status.Secured, []status.Member{member("old", true)}, "old", []course.Participant{{CKN: "old", Live: 1}}, 1},
		{"half moved", status.Secured, []status.Member{member("new", true), member("old", true), member("new", true), member("old", false)}, "old",
			[]course.Participant{{CKN: "new", Live: 2}, {CKN: "old", Live: 1}}, 3},
		{"moved", status.Secured, []status.Member{member("new", true), member("new", true)}, "new", []course.Participant{{CKN: "new", Live: 2}}, 2},
		{"under one that is gone", status.Secured, []status.Member{member("new", true), member("gone", true)}, "gone",
			[]course.Participant{{CKN: "new", Live: 1}, {CKN: "gone", Live: 1}}, 2},
		{"a further peer has not moved", status.Secured, []status.Member{hub(peer("k1", "new", true), peer("k1", "old", true), peer("k2", "other", true), peer("k1", "old", false))}, "old",
			[]course.Participant{{CKN: "new", Live: 1}, {CKN: "old", Live: 1}}, 2},
		{"all peers have", status.Secured, []status.Member{hub(peer("", "", true), peer("k1", "new", true)), hub(peer("", "", true), peer("k1", "new", true))}, "new", []course.Participant{{CKN: "new", Live: 2}}, 2},
		{"not known under which", status.Secured, []status.Member{member("", true)}, "", []course.Participant{{Live: 1}}, 1},
	} {
		s := status.Status{Keychains: []status.Keychain{{Name: "k1", Keys: keys}},
			Tunnels: []status.Tunnel{{Name: "hub1", State: tc.state, Members: tc.members, Dropped: map[string]map[string]uint64{"wg1": {"tx_dropped": 3}}}, {Name: "hub2"}}}
		v := viewOf(s, "k1", []string{"hub1"})
		if len(v.Ports) != 1 || len(v.Keys) != 3 || v.Keys[1].ID != "old" || v.Keys[1].CKN != "old" || !v.Keys[1].Start.Equal(*at(1)) || !v.Keys[2].Fallback {
			t.Fatalf("%+v", v)
		}
		p := v.Ports[0]
		if string(p.Encoding) != tc.encoding || !reflect.DeepEqual(p.Participants, tc.parts) || len(p.SAs) != tc.sas || p.Secured != (tc.state == status.Secured) || p.Interfaces["wg1"]["tx_dropped"] != 3 {
			t.Errorf("%s: %+v", tc.name, p)
		}
	}
}

// What may be rotated, and how: PSKs of tunnels as their tunnels take them.
func TestChainsOfTunnels(t *testing.T) {
	c, err := config.Parse("l.yaml", `version: 1
keychains:
  cak: {source: file, path: /k/cak.yaml}
  wg: {source: file, path: /k/wg.yaml}
  peer: {source: file, path: /k/peer.yaml}
  ipsec: {source: azure-key-vault, vault: 'https://x', psk: hub1, poll: 10m, credential: {type: managed-identity}, rotation: {every: 30d, hold: 2h}}
  spare: {source: file, path: /k/spare.yaml}
ports:
  - {name: link1, device: eth1, interface: macsec1, keychain: cak}
tunnels:
  - {name: hub1, type: wireguard, device: eth2, interface: wg1, local: 10.0.0.4, remote: 10.0.0.5, protect: [10.20.0.0/16, 10.23.0.0/16], wireguard: {
      peer_public_key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", allowed_ips: [10.20.0.0/16], keychain: wg,
      peers: [{public_key: "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=", allowed_ips: [10.23.0.0/16], keychain: peer}]}}
  - {name: hub2, type: ipsec, device: eth2, interface: ipsec1, local: 10.0.0.4, remote: 10.0.0.6, protect: [10.21.0.0/16], ipsec: {auth: psk, keychain: ipsec}}
  - {name: hub3, type: wireguard, device: eth2, interface: wg3, local: 10.0.0.4, remote: 10.0.0.7, protect: [10.22.0.0/16], wireguard: {port: 51900, peer_public_key: "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="}}
`)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	wg, err := chainOf(c, *c.Keychain("wg"), t.TempDir(), pskOctets, log)
	if err != nil || !wg.PSK || wg.Text || wg.Lead != fileLead || wg.Hold != defaultHold || wg.Schedule != nil {
		t.Errorf("%+v, %v", wg, err)
	}
	if s, ok := wg.Store.(rotate.PSKFile); !ok || s.Path != "/k/wg.yaml" {
		t.Errorf("%T", wg.Store)
	}
	ipsec, err := chainOf(c, *c.Keychain("ipsec"), t.TempDir(), pskOctets, log)
	if err != nil || !ipsec.PSK || !ipsec.Text || ipsec.Lead != 11*time.Minute+vaultLead || ipsec.Schedule == nil || ipsec.Hold != 2*time.Hour || !ipsec.Sweep {
		t.Errorf("%+v, %v", ipsec, err)
	}
	if s, ok := ipsec.Store.(vaultStore); !ok || !s.psk {
		t.Errorf("%T", ipsec.Store)
	}
	r := newRotator(t.TempDir(), nil, log)
	r.configured(c)
	for name, want := range map[string]string{
		"link1": "cak", "hub1": "wg", "hub2": "ipsec", "cak": "cak", "wg": "wg", "ipsec": "ipsec",
		"hub3":  "tunnel hub3 has no keychain",
		"peer":  "peer",
		"spare": "no port uses keychain spare",
		"hub9":  "there is no port and no tunnel hub9; accepted: link1, hub1, hub2, hub3, or",
	} {
		got, err := r.keychainOf(name)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, chain := range []string{"wg", "peer"} {
		if got := r.tunnels(chain); len(got) != 1 || got[0] != "hub1" {
			t.Errorf("%s: %q", chain, got)
		}
	}
}

// A vault spelt otherwise keeps its rotations, and its place is as journals have it.
func TestPlaceOf(t *testing.T) {
	const want = "azure-key-vault https://v.vault.azure.net a c"
	for _, url := range []string{"https://v.vault.azure.net", "https://V.vault.azure.net:443/"} {
		if got := placeOf(config.Keychain{Source: config.SourceVault, Vault: &config.Vault{URL: url, CAK: "A", CKN: "c"}}); got != want {
			t.Errorf("%s: place is %q", url, got)
		}
	}
}
