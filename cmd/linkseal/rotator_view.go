package main

import (
	"fmt"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

// viewOf is what a status says of a keychain and its ports, for a rotation.
func viewOf(s status.Status, name string) (v course.View) {
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
	return v
}

func keyView(k status.Key) course.Key {
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
