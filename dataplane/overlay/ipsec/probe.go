package ipsec

import (
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay/probing"
)

// deaf is how long the probe of a member that is up may go unanswered before its
// IKE_SA is made anew: the peer may have lost its SAs, which DPD does not see.
const deaf = 30 * time.Second

// prober is a member's probe, and what it asks.
type prober struct {
	*probing.Prober
	device string
	conf   config.Probe
}

// probe has the probe of a member as it is configured.
func (s *Session) probe(m *member) {
	device := m.iface
	if s.t.Transport() {
		device = s.t.Device
	}
	conf := s.t.Probe
	if conf != nil && m.probe != nil && m.probe.device == device && m.probe.conf == *conf {
		return
	}
	m.endProbe()
	if conf != nil && device != "" {
		m.probe = &prober{probing.Start(s.c.o.NS, device, *conf, func() { s.post(func() {}) }), device, *conf}
	}
}

func (m *member) endProbe() {
	if m.probe != nil {
		m.probe.Close()
		m.probe = nil
	}
}

// answered tells whether the probe is, or that there is none.
func (m *member) answered() bool { return m.probe == nil || m.probe.Result().Answered }

// heal makes anew what is up and does not carry packets.
func (s *Session) heal(now time.Time, m *member) {
	if !m.up() || m.answered() {
		m.silent = time.Time{}
		return
	}
	if m.silent.IsZero() {
		m.silent = now
	}
	if now.Sub(m.silent) < deaf || now.Sub(m.came) < deaf {
		return
	}
	m.silent = now
	s.log.Warn("the probe is not answered, and the tunnel is made anew", "connection", m.name)
	if err := s.renew(m); err != nil {
		s.log.Warn("the tunnel cannot be made anew", "connection", m.name, "error", err)
	}
}
