package config

import (
	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

func (w *writer) tunnel(t Tunnel) {
	w.line(1, "- name: %s", quote(t.Name))
	w.line(2, "type: %s", t.Type)
	w.line(2, "device: %s", quote(t.Device))
	w.text(2, "interface", t.Interface)
	w.line(2, "dataplane: %s", t.Dataplane)
	w.line(2, "local: %s", quote(t.Local.String()))
	w.line(2, "remote: %s", quote(t.Remote.String()))
	w.line(2, "count: %d", t.Count)
	w.line(2, "secure: %s", secure(t.Must))
	if t.Protect != nil {
		w.line(2, "protect: %s", list(t.Protect, prefix))
	}
	if t.Addresses != nil {
		w.line(2, "addresses: %s", list(t.Addresses, prefix))
	}
	switch {
	case t.FitMTU:
		w.line(2, "# mtu: %d, less where %s has no room", t.MTU, t.Device)
	case !t.Transport():
		w.line(2, "mtu: %d", t.MTU)
	}
	switch {
	case t.FitMSS:
		w.line(2, "# mss: %d, less with a smaller mtu", t.MSS)
	case !t.Transport():
		w.line(2, "mss: %d", t.MSS)
	}
	if t.CopyDSCP {
		w.line(2, "dscp: copy")
	}
	show := strict.FormatDuration
	if p := t.Probe; p != nil {
		w.line(2, "probe: {address: %s, interval: %s, lost: %d}", quote(p.Address.String()), show(p.Interval), p.Lost)
	}
	if t.WireGuard != nil {
		w.wireguard(t.WireGuard)
	}
	if t.IPsec != nil {
		w.ipsec(t.IPsec)
	}
}

func (w *writer) wireguard(g *WireGuard) {
	w.line(2, "wireguard:")
	w.line(3, "port: %d", g.Port)
	w.text(3, "private_key", g.PrivateKey)
	w.text(3, "peer_public_key", g.PeerPublicKey)
	if g.AllowedIPs != nil {
		w.line(3, "allowed_ips: %s", list(g.AllowedIPs, prefix))
	}
	w.text(3, "keychain", g.Keychain)
	w.line(3, "keepalive: %s", strict.FormatDuration(g.Keepalive))
	if len(g.Peers) > 0 {
		w.line(3, "peers:")
	}
	for _, p := range g.Peers {
		w.line(4, "- public_key: %s", quote(p.PublicKey))
		if p.Remote.IsValid() {
			w.line(5, "remote: %s", quote(p.Remote.Addr().String()))
			w.line(5, "port: %d", p.Remote.Port())
		}
		w.line(5, "allowed_ips: %s", list(p.AllowedIPs, prefix))
		w.text(5, "keychain", p.Keychain)
	}
}

func (w *writer) ipsec(s *IPsec) {
	w.line(2, "ipsec:")
	w.text(3, "profile", s.Profile)
	w.text(3, "local_id", s.LocalID)
	w.text(3, "remote_id", s.RemoteID)
	w.text(3, "auth", s.Auth)
	w.text(3, "keychain", s.Keychain)
	w.text(3, "mode", s.Mode)
	if s.IKE != nil {
		w.line(3, "ike: %s", list(s.IKE, quote))
	}
	if s.ESP != nil {
		w.line(3, "esp: %s", list(s.ESP, quote))
	}
	if s.AllowWeak {
		w.line(3, "allow_weak: true")
	}
	w.text(3, "certificate", s.Certificate)
	w.text(3, "private_key", s.PrivateKey)
	w.text(3, "ca", s.CA)
	w.line(3, "dpd: %s", strict.FormatDuration(s.DPD))
	r := s.Rekey
	if r == (Rekey{}) {
		return
	}
	w.line(3, "rekey:")
	if r.IKE != 0 {
		w.line(4, "ike: %s", strict.FormatDuration(r.IKE))
	}
	if r.Child != 0 {
		w.line(4, "child: %s", strict.FormatDuration(r.Child))
	}
	if r.Octets != 0 {
		w.line(4, "octets: %d", r.Octets)
	}
}
