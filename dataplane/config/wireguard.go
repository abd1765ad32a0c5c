package config

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

const publicKeyAccepted = "32 octets in base64"

func (d *decoder) publicKey(v strict.Value) string {
	return d.text(v, "", publicKeyAccepted, func(s string) bool {
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		return err == nil && len(b) == 32
	})
}

func (d *decoder) wireguard(v strict.Value, t Tunnel) *WireGuard {
	f := v.Fields("wireguard", "port", "private_key", "peer_public_key", "allowed_ips", "keychain", "keepalive", "peers")
	w := &WireGuard{
		Port:          uint16(f.Get("port").Int(51820, 1, 65535)),
		PrivateKey:    d.absolute(f.Get("private_key"), DefaultState+"/wg.key"),
		PeerPublicKey: d.publicKey(f.Need("peer_public_key", publicKeyAccepted)),
		AllowedIPs:    d.prefixes(f.Get("allowed_ips"), true),
		Keepalive:     f.Get("keepalive").Duration(25 * time.Second),
	}
	d.note(fmt.Sprintf("tunnels.%d.wireguard.private_key", len(d.Tunnels)), f.Get("private_key"))
	if f.Has("keychain") {
		w.Keychain = d.tunnelKeychain(f.Get("keychain"), "keychain")
	}
	seconds(f.Get("keepalive"), w.Keepalive, 0, 65535*time.Second)
	var peers []strict.Fields
	for _, e := range f.Get("peers").List("a peer", "a list of peers") {
		f := e.Fields("peer", "public_key", "remote", "port", "allowed_ips", "keychain")
		peers, w.Peers = append(peers, f), append(w.Peers, d.peer(len(w.Peers), f, t))
	}
	if w.AllowedIPs == nil {
		w.AllowedIPs = allowed(t, w.Peers)
	}
	apart(peers, w)
	t.WireGuard = w
	d.ports(f, t)
	return w
}

func (d *decoder) peer(i int, f strict.Fields, t Tunnel) Peer {
	p := Peer{
		PublicKey:  d.publicKey(f.Need("public_key", publicKeyAccepted)),
		AllowedIPs: d.prefixes(f.Need("allowed_ips", "a list of networks as 10.20.0.0/16"), true),
	}
	port := f.Get("port").Int(51820, 1, 65535)
	switch remote := d.end(f.Get("remote")); {
	case !remote.IsValid():
		f.Get("port").Wrong("port of a peer without remote", "remote: "+endAccepted+"; or leave both out, and the peer comes to us")
	case t.Local.IsValid() && remote.Is4() != t.Local.Is4():
		f.Get("remote").Wrong("local and the peer's remote are of two families", "two IPv4 or two IPv6 addresses")
	default:
		p.Remote = netip.AddrPortFrom(remote, uint16(port))
	}
	if f.Has("keychain") {
		p.Keychain = d.tunnelKeychain(f.Get("keychain"), peerPath(i))
	}
	return p
}

// allowed is what the first peer has if nothing is configured: what is protected,
// and the networks in which its inner addresses are, but for what is a further
// peer's.
func allowed(t Tunnel, further []Peer) []netip.Prefix {
	all := []netip.Prefix{}
	add := func(p netip.Prefix) {
		theirs := slices.ContainsFunc(further, func(o Peer) bool { return slices.Contains(o.AllowedIPs, p) })
		if !slices.Contains(all, p) && !theirs {
			all = append(all, p)
		}
	}
	for _, p := range t.Protect {
		add(p)
	}
	for _, p := range t.Addresses {
		add(p.Masked())
	}
	return all
}

// apart holds peers against each other: a public key and an allowed IP are one
// peer's, or the kernel would take them from the one and give them to the other.
func apart(fields []strict.Fields, w *WireGuard) {
	keys := map[string]bool{w.PeerPublicKey: true}
	ips := map[netip.Prefix]string{}
	for _, p := range w.AllowedIPs {
		ips[p] = "the first peer"
	}
	for i, p := range w.Peers {
		if p.PublicKey != "" && keys[p.PublicKey] {
			fields[i].Get("public_key").Wrong("two peers have this public key", "each peer once")
		}
		keys[p.PublicKey] = true
		for _, a := range p.AllowedIPs {
			if other := ips[a]; other != "" {
				fields[i].Get("allowed_ips").Wrong(fmt.Sprintf("%s is an allowed IP of %s too", a, other), "each network with one peer")
			}
			ips[a] = fmt.Sprintf("peer %d", i+2)
		}
	}
}

// ports claims the UDP ports of all members, with those that a change of PSK
// takes.
func (d *decoder) ports(f strict.Fields, t Tunnel) {
	w, at := t.WireGuard, f.Get("port")
	if !at.Given() {
		at = f.Of()
	}
	last := int(w.Port) + t.Ports() - 1
	if last > 65535 {
		at.Wrong(fmt.Sprintf("port %d: the tunnel has ports up to %d", w.Port, last), fmt.Sprintf("up to %d", 65536-t.Ports()))
		return
	}
	for port := int(w.Port); port <= last; port++ {
		if port == 500 || port == 4500 {
			at.Wrong(fmt.Sprintf("port %d is IPsec's", port), "ports without 500 and 4500 in "+itoa(t.Ports())+" from it on")
			return
		}
		if !d.free("UDP port", itoa(port)) {
			at.Wrong(fmt.Sprintf("UDP port %d is in use by another tunnel already", port), itoa(t.Ports())+" ports from it on that no tunnel has")
			return
		}
	}
	for port := int(w.Port); port <= last; port++ {
		d.unique("UDP port", itoa(port), at)
	}
}
