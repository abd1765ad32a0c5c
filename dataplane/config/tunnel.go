package config

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

func (d *decoder) tunnel(i int, v strict.Value) {
	f := v.Fields("tunnel "+itoa(i+1), "name", "type", "device", "interface", "dataplane", "local", "remote", "count", "secure",
		"protect", "addresses", "mtu", "mss", "wireguard", "ipsec")
	t := Tunnel{
		Name:      d.name(f.Need("name", nameAccepted)),
		Type:      f.Need("type", "wireguard, ipsec").OneOf("", "wireguard", "ipsec"),
		Device:    d.device(f.Need("device", deviceAccepted)),
		Interface: d.device(f.Need("interface", deviceAccepted)),
		Dataplane: f.Get("dataplane").OneOf(Auto, Auto, Kernel, Userspace),
		Local:     f.Need("local", "an IPv4 or IPv6 address").Addr(),
		Remote:    f.Need("remote", "an IPv4 or IPv6 address").Addr(),
		Count:     int(f.Get("count").Int(1, 1, 64)),
		Must:      f.Get("secure").OneOf("must", "must", "should") == "must",
		Protect:   d.prefixes(f.Get("protect"), true),
		Addresses: d.prefixes(f.Get("addresses"), false),
		MTU:       int(f.Get("mtu").Int(1400, minMTU, 65535)),
		MSS:       int(f.Get("mss").Int(0, 0, 65495)),
	}
	d.unique("name", t.Name, f.Get("name"))
	d.unique("interface", t.Interface, f.Get("interface"))
	if t.Local.IsValid() && t.Remote.IsValid() && t.Local.Is4() != t.Remote.Is4() {
		f.Get("remote").Wrong("local and remote are of two families", "two IPv4 or two IPv6 addresses")
	}
	if t.MSS != 0 && t.MSS >= t.MTU {
		f.Get("mss").Wrong(fmt.Sprintf("mss %d is not under mtu %d", t.MSS, t.MTU), "less than the mtu")
	}
	switch t.Type {
	case "wireguard":
		t.WireGuard = d.wireguard(f.Need("wireguard", "a mapping with private_key and peer_public_key"))
		without(f, "type: wireguard", "ipsec")
	case "ipsec":
		t.IPsec = d.ipsec(f.Need("ipsec", "a mapping with auth and keychain"))
		without(f, "type: ipsec", "wireguard")
	}
	d.Tunnels = append(d.Tunnels, t)
}

func (d *decoder) wireguard(v strict.Value) *WireGuard {
	f := v.Fields("wireguard", "port", "private_key", "peer_public_key", "keychain", "keepalive")
	const key = "32 octets in base64"
	w := &WireGuard{
		Port:       uint16(f.Get("port").Int(51820, 1, 65535)),
		PrivateKey: d.absolute(f.Get("private_key"), DefaultState+"/wg.key"),
		PeerPublicKey: d.text(f.Need("peer_public_key", key), "", key, func(s string) bool {
			b, err := base64.StdEncoding.DecodeString(s)
			return err == nil && len(b) == 32
		}),
		Keepalive: f.Get("keepalive").Duration(25 * time.Second),
	}
	if f.Has("keychain") {
		w.Keychain = d.usedKeychain(f.Get("keychain"))
	}
	if w.Keepalive > 65535*time.Second || w.Keepalive%time.Second != 0 {
		f.Get("keepalive").Wrong("keepalive "+strict.FormatDuration(w.Keepalive), "whole seconds, 0s to 65535s")
	}
	return w
}

func (d *decoder) ipsec(v strict.Value) *IPsec {
	f := v.Fields("ipsec", "profile", "local_id", "remote_id", "auth", "keychain", "mode")
	id := func(key string) string {
		v := f.Get(key)
		if v.IsEmptyText() {
			return ""
		}
		return d.text(v, "", "an IKE identity", func(s string) bool { return len(s) <= 255 })
	}
	return &IPsec{
		Profile:  d.text(f.Get("profile"), "", "the name of a profile as azure-vpn-gateway", nameForm.MatchString),
		LocalID:  id("local_id"),
		RemoteID: id("remote_id"),
		Auth:     f.Get("auth").OneOf("psk", "psk"),
		Keychain: d.usedKeychain(f.Need("keychain", "the name of a keychain under keychains")),
		Mode:     f.Get("mode").OneOf("tunnel", "tunnel", "transport"),
	}
}
