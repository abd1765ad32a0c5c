package ipsec

import (
	"fmt"
	"strings"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/diagnose"
)

// trouble is what keeps a member from being live, or from what it is to carry,
// and what to do; "" if nothing does.
func (s *Session) trouble(m *member) (problem, remedy string) {
	set := s.settings(m)
	if f, ok := s.less(m); ok {
		return f.Explain(set)
	}
	if p := s.unanswered(m); p != "" {
		return p, "that the address is the other end's, answers ICMP echo, and is routed back into the tunnel there"
	}
	if id, _, failures := s.keys.Pending(); failures > 0 && m.up() && s.keys.Key(m.n) != id {
		remedy = "the same PSK in both keychains, inside its window"
		if s.t.IPsec.Auth == config.AuthCertificate {
			remedy = "there: the CA that issued it; or disable that version in the vault"
		}
		return fmt.Sprintf("remote %s has not accepted %s %s yet, and the tunnel goes on under the one before", s.t.Remote, s.noun(), s.plain(id)), remedy
	}
	return m.finding.Explain(set)
}

// less is that the peer took less than we asked for.
func (s *Session) less(m *member) (diagnose.Finding, bool) {
	_, child, ok := m.child()
	if !ok {
		return diagnose.Finding{}, false
	}
	if s.t.Transport() {
		return diagnose.Finding{Kind: diagnose.Mode, Offered: strings.ToLower(child.Mode)}, child.Mode != "TRANSPORT"
	}
	want := strings.Join(conn.Selectors(s.t), " ")
	local, remote := strings.Join(child.LocalTS, " "), strings.Join(child.RemoteTS, " ")
	return diagnose.Finding{Kind: diagnose.Selectors, Accepted: local + " to " + remote}, local != want || remote != want
}

// unanswered is that the probe is not.
func (s *Session) unanswered(m *member) string {
	if m.probe == nil || !m.up() {
		return ""
	}
	r := m.probe.Result()
	if r.Problem == "" && !r.Answered {
		return fmt.Sprintf("the probe to %s is not answered, though the tunnel is up", m.probe.conf.Address)
	}
	return r.Problem
}
