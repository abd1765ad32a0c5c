package config

import (
	"strings"
	"testing"
)

// What is left of a device's 1500 octets by type, suite and family, with room for
// UDP around ESP: figures by hand, of RFC 4303, 4106, 3948 and the WireGuard paper.
func TestRoom(t *testing.T) {
	const six = `, local: "2001:db8::4", remote: "2001:db8::5"`
	const four = ", local: 10.0.0.4, remote: 10.20.0.5"
	for _, c := range []struct {
		name, ends, of string
		user           bool
		room           int
	}{
		{"WireGuard", four, `type: wireguard, wireguard: {peer_public_key: "` + oneKey + `"}`, false, 20 + 8 + 32},
		{"WireGuard on IPv6", six, `type: wireguard, wireguard: {peer_public_key: "` + oneKey + `"}`, true, 40 + 8 + 32},
		{"GCM", four, "type: ipsec, ipsec: {keychain: k, profile: strict}", false, 20 + 8 + 8 + 8 + 2 + 3 + 16},
		{"GCM on IPv6", six, "type: ipsec, ipsec: {keychain: k, profile: strict}", false, 40 + 8 + 8 + 8 + 2 + 3 + 16},
		{"GCM in user space", four, "type: ipsec, ipsec: {keychain: k, profile: strict}", true, 20 + 8 + 8 + 8 + 2 + 3 + 16},
		{"CBC and SHA-256", four, "type: ipsec, ipsec: {keychain: k, ike: [aes256-sha256-modp2048], esp: [aes256-sha256]}", false, 20 + 8 + 8 + 16 + 2 + 15 + 16},
		{"CBC and SHA-256 beside GCM", four, "type: ipsec, ipsec: {keychain: k, ike: [aes256-sha256-modp2048], esp: [aes256gcm16, aes256-sha256]}", false, 20 + 8 + 8 + 16 + 2 + 15 + 16},
	} {
		cfg, err := Parse("t.yaml", tunnelsOf("  - {name: hub1, device: eth1, interface: x1, protect: [10.20.0.0/16]"+c.ends+", "+c.of+"}\n"))
		if err != nil {
			t.Fatal(c.name, err)
		}
		if got := cfg.Tunnels[0].Room(c.user); got != c.room {
			t.Errorf("%s: %d octets, want %d", c.name, got, c.room)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		keys     string
		mtu, mss int
	}{
		{"", 1400, 1350},
		{", mtu: 1300", 1300, 1250},
		{", mss: 1200", 1400, 1200},
		{", mss: 0", 1400, 0},
		{`, addresses: ["fd00::1/64"]`, 1400, 1330},
		{", mtu: 8900", 8900, 8850},
	} {
		cfg, err := Parse("t.yaml", tunnelsOf(hub(c.keys, "")))
		if err != nil {
			t.Fatal(c.keys, err)
		}
		g := cfg.Tunnels[0]
		if g.MTU != c.mtu || g.MSS != c.mss || g.FitMTU == strings.Contains(c.keys, "mtu") || g.FitMSS == strings.Contains(c.keys, "mss") {
			t.Errorf("%q: MTU %d, MSS %d; want %d, %d: %+v", c.keys, g.MTU, g.MSS, c.mtu, c.mss, g)
		}
	}
}
