package ipsec

import (
	"fmt"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/diagnose"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/suite"
)

// blind is how long we say Unknown while charon has not answered, and nothing of keys
// that have not been given.
const blind = 5 * time.Second

// show makes the View, and a token if liveness or SPIs have changed.
func (s *Session) show(now time.Time) {
	v := overlay.View{State: overlay.Unsecured}
	for _, m := range s.members {
		mv := s.member(now, m)
		v.Members = append(v.Members, mv)
		if mv.Live {
			v.State = overlay.Secured
		}
		if v.Problem == "" {
			v.Problem, v.Remedy = s.trouble(m)
		}
	}
	if v.State == overlay.Unsecured {
		switch {
		case s.wrong != "":
			v.Problem, v.Remedy = s.wrong, "the log says what charon lacks; it is tried again"
			if s.client == nil {
				v.State = overlay.Down
			}
		case !s.known && now.Sub(s.opened) < blind:
			v.State = overlay.Unknown
		case s.client == nil:
			v.State, v.Problem, v.Remedy = overlay.Down, "charon does not run yet", "the log says why"
		case v.Problem == "" && s.keyed() && !s.armed() && (s.handed || now.Sub(s.opened) >= blind):
			v.Problem, v.Remedy = "no "+s.noun()+" of keychain "+s.t.IPsec.Keychain+" is inside its window", "a "+s.noun()+" whose not_before is past and whose expires is to come"
		}
	}
	s.mu.Lock()
	old := s.view
	if v.Since = old.Since; old.State != v.State || v.Since.IsZero() {
		v.Since = now
	}
	s.view = v
	s.mu.Unlock()
	if differ(old, v) {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

// differ tells whether what the reconciler acts upon differs.
func differ(a, b overlay.View) bool {
	if a.State != b.State || a.Problem != b.Problem || len(a.Members) != len(b.Members) {
		return true
	}
	for i, m := range a.Members {
		o := b.Members[i]
		if m.Live != o.Live || m.Interface != o.Interface || m.KeyID != o.KeyID || fmt.Sprint(m.SPIIn, m.SPIOut) != fmt.Sprint(o.SPIIn, o.SPIOut) {
			return true
		}
	}
	return false
}

func (s *Session) member(now time.Time, m *member) overlay.MemberView {
	v := overlay.MemberView{
		N: m.n, Interface: m.iface, Live: m.live(now), Rekeys: m.rekeys, Handed: m.handed,
		RxOctets: m.counts.rx, TxOctets: m.counts.tx, RxPackets: m.counts.rxPackets, TxPackets: m.counts.txPackets,
	}
	for _, sa := range m.sas {
		for _, c := range sa.Children {
			if c.Installed() {
				v.SPIIn, v.SPIOut = append(v.SPIIn, c.SPIIn), append(v.SPIOut, c.SPIOut)
			}
		}
	}
	if ike, child, ok := m.child(); ok {
		v.Local, v.Remote = ike.Local, ike.Remote
		v.Handshake = now.Add(-ike.Established)
		v.IKE, v.ESP = ike.Suite, child.Suite
		if label := s.keys.Key(m.n); s.keyed() && !s.replaced(label) {
			v.KeyID = s.plain(label)
		}
	}
	if m.probe != nil {
		r := m.probe.Result()
		v.RTT, v.ProbeLost = r.RTT, r.Lost
	}
	v.Problem, _ = s.trouble(m)
	return v
}

// settings are what a refusal is held against.
func (s *Session) settings(m *member) diagnose.Settings {
	local, remote := conn.Identities(s.t, m.n)
	chosen, _ := suite.Choose(conn.Settings(s.t, s.place.Userspace))
	profile, _ := suite.Lookup(s.t.IPsec.Profile)
	d := diagnose.Settings{
		Tunnel: s.name, Remote: s.t.Remote.String(), LocalID: local, RemoteID: remote,
		IKE: join(chosen.IKE), ESP: join(chosen.ESP), Transport: s.t.Transport(), Azure: profile.Azure,
		Certificate: s.t.IPsec.Certificate, CA: s.t.IPsec.CA,
	}
	if id, _, _ := s.keys.Pending(); s.t.IPsec.Auth == config.AuthPSK {
		d.PSK = s.plain(id)
	} else if s.keyed() {
		d.Certificate = "version " + or(id, "(none)") + " of keychain " + s.t.IPsec.Keychain
	}
	ts := strings.Join(conn.Selectors(s.t), " ")
	if s.t.Transport() {
		d.Selectors = fmt.Sprintf("%s to %s", s.t.Local, s.t.Remote)
	} else {
		d.Selectors = ts + " to " + ts
	}
	return d
}

// noun is what the keychain has, in words.
func (s *Session) noun() string {
	if s.t.IPsec.Auth == config.AuthCertificate {
		return "certificate"
	}
	return "PSK"
}

func join(ps []suite.Proposal) string {
	var words []string
	for _, p := range ps {
		words = append(words, p.String())
	}
	return strings.Join(words, ", ")
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
