package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

// viewOf is what a status says of a keychain and its ports, or of the tunnels
// called tunnels, for a rotation.
func viewOf(s status.Status, name string, tunnels []string) (v course.View) {
	if s.ClockHeld != nil {
		v.Clock = "the clock is not that of when the keys were last sealed, and nothing has set it; set it with date -s or timedatectl set-time, even if it is right"
	}
	v.Unsealed = s.Unsealed
	for _, k := range s.Keychains {
		if k.Name != name {
			continue
		}
		v.Fault = k.Error
		if k.Vault != nil && len(k.Vault.Faults) > 0 {
			v.Fault = fmt.Sprintf("%s: %s", k.Vault.Faults[0].Kind, k.Vault.Faults[0].Text)
		}
		for _, key := range k.Keys {
			v.Keys = append(v.Keys, keyView(key))
		}
	}
	for _, p := range s.Ports {
		if p.Keychain == name {
			v.Ports = append(v.Ports, portView(p))
		}
	}
	for _, t := range s.Tunnels {
		if slices.Contains(tunnels, t.Name) {
			v.Ports = append(v.Ports, tunnelView(t, name, v.Keys))
		}
	}
	return v
}

// tunnelView has the live members, of WireGuard all their peers whose keychain is
// the one called chain, as participants of the PSKs that their last handshakes were
// made under; the oldest of these carries what has yet to move.
func tunnelView(t status.Tunnel, chain string, keys []course.Key) course.Port {
	out := course.Port{Name: t.Name, Secured: t.State == status.Secured, PeersEncode: true, Interfaces: t.Dropped}
	started := func(id keychain.CKN) (at time.Time) { // of one that is not ours any more: never
		for _, k := range keys {
			if k.CKN == id {
				at = k.Start
			}
		}
		return at
	}
	var all []keychain.CKN
	for _, m := range t.Members {
		all = append(all, under(m, chain)...)
	}
	for _, id := range all {
		if len(out.SAs) == 0 || started(id).Before(started(out.Encoding)) {
			out.Encoding = id
		}
		i := slices.IndexFunc(out.Participants, func(p course.Participant) bool { return p.CKN == id })
		if out.SAs = append(out.SAs, id); i < 0 {
			i = len(out.Participants)
			out.Participants = append(out.Participants, course.Participant{CKN: id})
		}
		out.Participants[i].Live++
	}
	return out
}

// under names the PSK of a keychain for each handshake of a member that lives;
// empty: it is not known under which.
func under(m status.Member, chain string) (ids []keychain.CKN) {
	if len(m.Peers) == 0 && m.Live {
		ids = append(ids, keychain.CKN(m.KeyID))
	}
	for _, p := range m.Peers {
		if p.Live && p.Keychain == chain {
			ids = append(ids, keychain.CKN(p.KeyID))
		}
	}
	return ids
}

func keyView(k status.Key) course.Key {
	if k.ID != "" {
		return course.Key{ID: k.ID, CKN: keychain.CKN(k.ID), Start: or(k.NotBefore, k.FirstSeen), Fallback: k.Fallback}
	}
	out := course.Key{ID: k.Pair, CKN: ckn(k.CKN), Start: or(k.NotBefore, k.FirstSeen), Fallback: k.Fallback}
	if out.ID == "" {
		out.ID = k.CKN
	}
	return out
}

func or(times ...*time.Time) time.Time {
	for _, t := range times {
		if t != nil {
			return *t
		}
	}
	return time.Time{}
}

func portView(p status.Port) course.Port {
	out := course.Port{Name: p.Name, Secured: p.State == status.Secured, Counters: p.Counters}
	for _, m := range p.Participants {
		q := course.Participant{CKN: ckn(m.CKN)}
		for _, peer := range m.Peers {
			if peer.Live {
				q.Live++
			}
		}
		out.Participants = append(out.Participants, q)
	}
	if p.Tx != nil {
		out.Encoding, out.PeersEncode = ckn(p.Tx.CKN), p.Tx.PeersTransmit
		out.SAs = append(out.SAs, out.Encoding)
	}
	for _, r := range p.Rx {
		out.SAs = append(out.SAs, ckn(r.CKN))
	}
	return out
}

// ckn is empty where none is told.
func ckn(text string) keychain.CKN {
	c, err := keychain.ParseCKN(text)
	if err != nil {
		return ""
	}
	return c
}
