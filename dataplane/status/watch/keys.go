package watch

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
)

// sas has a row for each SA.
func (v View) sas() table {
	t := table{heads: []string{"PORT", "SA", ">AN", ">NEXT PN", ">PN/S", ">AGE", "CKN", "PEER"}}
	row := func(port, sa string, an uint8, pn uint64, rate float64, since *time.Time, ckn, peer string) {
		old := "-"
		if since != nil {
			old = status.Age(v.Last.At.Sub(*since))
		}
		t.row(port, sa, strconv.Itoa(int(an)), strconv.FormatUint(pn, 10), short(rate), old, brief(ckn), peer)
	}
	for _, p := range v.Last.Status.Ports {
		if tx := p.Tx; tx != nil {
			peer := "transmits too"
			if !tx.PeersTransmit {
				peer = "does not transmit with it yet"
			}
			row(p.Name, "tx", tx.AN, tx.PN, v.pnRate(p.Name, tx.PN, func(b *status.Port) (uint64, bool) {
				if b.Tx == nil || b.Tx.AN != tx.AN || b.Tx.Key != tx.Key {
					return 0, false
				}
				return b.Tx.PN, true
			}), tx.Since, tx.CKN, peer)
		}
		for _, rx := range p.Rx {
			row(p.Name, "rx", rx.AN, rx.PN, v.pnRate(p.Name, rx.PN, func(b *status.Port) (uint64, bool) {
				for _, o := range b.Rx {
					if o.SCI == rx.SCI && o.AN == rx.AN && o.Key == rx.Key {
						return o.PN, true
					}
				}
				return 0, false
			}), rx.Since, rx.CKN, rx.SCI)
		}
	}
	return t
}

// participants has a row for each peer of each participant.
func (v View) participants() table {
	t := table{heads: []string{"PORT", "CKN", "ROLE", "PEER", "STATE"}, alarm: map[int]bool{}}
	for _, p := range v.Last.Status.Ports {
		for _, m := range p.Participants {
			var roles []string
			for _, role := range []struct {
				is   bool
				name string
			}{{m.Principal, "principal"}, {m.KeyServer, "key server"}, {m.Held, "HELD"}} {
				if role.is {
					roles = append(roles, role.name)
				}
			}
			role := strings.Join(roles, ", ")
			if role == "" {
				role = "-"
			}
			row := func(peer, state string) {
				t.alarm[len(t.rows)] = m.Held
				t.row(p.Name, brief(m.CKN), role, peer, state)
			}
			if len(m.Peers) == 0 {
				row("-", "no peer is heard")
			}
			for _, peer := range m.Peers {
				state := "live"
				if !peer.Live {
					state = "potential"
				}
				if peer.Suspended {
					state += ", MKA suspended"
				}
				row(peer.SCI, state)
			}
		}
	}
	return t
}

// keys has a row for each key of each keychain, and one for its rotation.
func (v View) keys() table {
	now := v.Last.At
	if held := v.Last.Status.ClockHeld; held != nil {
		now = *held // what keys are chosen by
	}
	t := table{heads: []string{"KEYCHAIN", "CKN", "STATE", "BEGINS", "ENDS", "ROTATION"}}
	for _, k := range v.Last.Status.Keychains {
		for _, key := range k.Keys {
			state := words(key.State)
			if key.ID != "" {
				t.heads[1] = "CKN OR ID"
			}
			if key.Fallback {
				state += ", fallback"
			}
			rotation := ""
			if r := k.Rotation; r != nil && r.Phase != "" && cmp.Or(r.CKN, r.PSK) == key.Name() {
				rotation = words(r.Phase)
				if r.RetireAt != nil {
					rotation += ", the old retire " + away(*r.RetireAt, now)
				}
			}
			t.row(k.Name, brief(key.Name()), state, window(key.NotBefore, now), window(key.Expires, now), rotation)
		}
		if r := k.Rotation; r != nil && r.Next != nil {
			t.row(k.Name, "next "+k.Noun(), "-", away(*r.Next, now), "-", "")
		}
	}
	return t
}

func window(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return away(*t, now)
}

// away is a time as it is from now: in 3h2m, 1d4h ago.
func away(t, now time.Time) string {
	if d := t.Sub(now); d >= 0 {
		return "in " + status.Age(d)
	}
	return status.Age(now.Sub(t)) + " ago"
}

// brief is a CKN, its first 16 digits if there are more.
func brief(ckn string) string {
	switch {
	case ckn == "":
		return "-"
	case len(ckn) > 16:
		return ckn[:16] + "…"
	}
	return ckn
}
