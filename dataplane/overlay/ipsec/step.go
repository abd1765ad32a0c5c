package ipsec

import (
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/rotation"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/suite"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// step loads what is to be loaded and starts what is to be started, and returns
// when it is due again.
func (s *Session) step(now time.Time) (next time.Time) {
	s.reread()
	s.load(now)
	if s.client == nil {
		return now.Add(time.Hour) // charonChanged wakes us
	}
	if !s.loaded {
		return s.retry
	}
	next = now.Add(time.Hour)
	sooner := func(at time.Time) {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	sooner(s.keys.Next())
	for _, m := range s.members {
		if s.asking.Err() != nil {
			return next // it is closed
		}
		s.probe(m)
		s.start(now, m)
		s.heal(now, m)
		s.prove(now, m)
		s.spent(m)
		s.sweep(now, m)
		s.part(now, m)
		s.fit(now, m)
		sooner(s.replace(now, m))
		if !m.up() {
			sooner(m.next)
		}
		if !m.kept.IsZero() {
			sooner(m.kept)
		}
	}
	return next
}

// start starts a member that is not up, if it is its time.
func (s *Session) start(now time.Time, m *member) {
	switch {
	case !s.known, m.up(), m.busy(), now.Before(m.next), !m.started.IsZero() && now.Sub(m.started) < attempt:
		return
	case s.keyed() && !s.armed():
		return // it would be refused
	}
	for _, sa := range m.sas {
		s.end(m, sa.ID) // the CHILD_SA did not come with it
	}
	if len(m.orphans) > 0 {
		s.catch(m) // the peer sends under the new SAs before we have them
	}
	m.started = now
	m.next = now.Add(attempt)
	if err := s.client.Initiate(m.name, m.name); err != nil {
		s.log.Warn("the tunnel cannot be started", "connection", m.name, "error", err)
		m.failed(now)
	}
}

// keyed tells whether a keychain has what this end shows: PSKs, or the versions of
// a vault's certificate.
func (s *Session) keyed() bool { return s.t.IPsec.Keychain != "" }

// armed tells whether charon has a PSK of this tunnel, or its certificate.
func (s *Session) armed() bool {
	id, _, _ := s.keys.Pending()
	return id != ""
}

// prove renews the first keys of a member soon, once, to find out whether the
// ends agree on how. The end that began the IKE_SA does it.
func (s *Session) prove(now time.Time, m *member) {
	ike, child, ok := m.child()
	if !ok || m.proved || !ike.Initiator || now.Sub(m.came) < s.proof || child.State != "INSTALLED" {
		return
	}
	m.proved = true
	if child.Age > 2*s.proof+time.Minute {
		return // adopted: it lives long enough
	}
	if err := s.client.RekeyChild(child.ID); err != nil {
		s.log.Warn("the first keys cannot be renewed", "connection", m.name, "error", err)
	}
}

// spent renews keys in user space that have done their volume: kernel-libipsec
// counts and does not care.
func (s *Session) spent(m *member) {
	_, child, ok := m.child()
	if !ok || !s.place.Userspace || child.State != "INSTALLED" || m.spent == child.ID {
		return
	}
	chosen, _ := suite.Choose(conn.Settings(s.t, true))
	if max(child.RxOctets, child.TxOctets) < chosen.Octets && max(child.RxPackets, child.TxPackets) < conn.RekeyPackets {
		return
	}
	m.spent = child.ID
	if err := s.client.RekeyChild(child.ID); err != nil {
		s.log.Warn("keys that have done their volume cannot be renewed", "connection", m.name, "error", err)
	}
}

// act does what the PSKs ask for.
func (s *Session) act(now time.Time) {
	if s.client == nil || !s.loaded || !s.known || !s.keyed() {
		return
	}
	var psks []rotation.PSK
	certified := s.t.IPsec.Auth == config.AuthCertificate
	for _, p := range s.psks {
		psks = append(psks, rotation.PSK{ID: s.label(p.PSK), Active: p.State == keychain.Active, Cut: p.Cut(), Fallback: p.Fallback && !certified})
		if certified && p.State == keychain.Active {
			break // this end shows one
		}
	}
	var sas []rotation.SA
	for _, m := range s.members {
		for _, sa := range m.sas {
			if sa.Up() {
				sas = append(sas, rotation.SA{Member: m.n, ID: sa.ID, Initiator: sa.Initiator})
			}
		}
	}
	for _, a := range s.keys.Step(now, psks, sas, len(s.members)) {
		if err := s.do(a); err != nil {
			s.log.Error("what this end shows cannot be changed in charon", s.word(), s.told(a.ID), "error", err)
			s.loaded, s.retry = false, now.Add(reload) // and all anew
			return
		}
	}
}

// word is what the keychain has, in logs.
func (s *Session) word() string { return s.t.IPsec.Auth }

func (s *Session) do(a rotation.Action) error {
	switch a.Kind {
	case rotation.Load:
		s.log.Info("loaded", s.word(), s.plain(a.ID))
		load := s.loadSecret
		if s.t.IPsec.Auth == config.AuthCertificate {
			load = s.loadCertificate
		}
		err := load(a.ID)
		s.given = time.Now()
		s.c.glance()
		return err
	case rotation.Unload:
		s.log.Info("not used any more", s.word(), s.told(a.ID))
		if s.t.IPsec.Auth == config.AuthCertificate {
			return s.unloadCertificate(a.ID)
		}
		return s.client.UnloadSecret(secretID(s.name, a.ID))
	case rotation.End:
		s.log.Warn("what is established was made under what is over, and ends", s.word(), s.told(a.ID))
		return s.client.TerminateID(a.SA)
	}
	s.log.Info("authenticating anew", "member", a.Member, s.word(), s.plain(a.ID))
	return s.renew(s.members[a.Member])
}
