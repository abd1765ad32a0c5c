package ipsec

import (
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/suite"
)

// refit is how often, at the most, what does not fit is made anew.
const refit = time.Minute

// fit makes anew what was established under another configuration, before the
// tunnel was opened.
func (s *Session) fit(now time.Time, m *member) {
	ike, child, ok := m.child()
	if !ok || len(m.old) > 0 || now.Sub(m.fitted) < refit {
		return
	}
	chosen, _ := suite.Choose(conn.Settings(s.t, s.place.Userspace))
	local, remote := conn.Identities(s.t, m.n)
	why := misfit(ike, child, local, remote, s.t.Transport(), chosen)
	if why == "" {
		return
	}
	m.fitted = now
	s.log.Info("what is established is not as configured, and is made anew", "connection", m.name, "differs", why)
	if err := s.renew(m); err != nil {
		s.log.Warn("the tunnel cannot be made anew", "connection", m.name, "error", err)
	}
}

// misfit says what of an IKE_SA and its CHILD_SA is not as configured; "" if
// nothing is.
func misfit(ike strongswan.IKESA, child strongswan.ChildSA, local, remote string, transport bool, chosen suite.Chosen) string {
	// A distinguished name is written in more ways than one, and an address too
	// where it is none of the machine's own.
	other := func(have, want string) bool {
		return want != "" && want != "%any" && !strings.Contains(want, "=") && !strings.EqualFold(have, want)
	}
	switch {
	case other(ike.LocalID, local):
		return "local_id " + ike.LocalID
	case other(ike.RemoteID, remote):
		return "remote_id " + ike.RemoteID
	case (child.Mode == "TRANSPORT") != transport:
		return "mode " + strings.ToLower(child.Mode)
	case !within(ike.Suite, chosen.IKE):
		return "ike " + ike.Suite
	case !within(child.Suite, chosen.ESP):
		return "esp " + child.Suite
	}
	return ""
}

// within tells whether what is in use was picked from one of the proposals. The
// first keys of a CHILD_SA have no key exchange of their own, and a proposal's
// integrity stands for its PRF.
func within(used string, proposals []suite.Proposal) bool {
	for _, p := range proposals {
		has := map[string]bool{"": true}
		for word := range strings.SplitSeq(p.String(), "-") {
			has[word], has["prf"+word] = true, true
		}
		all := true
		for word := range strings.SplitSeq(used, "-") {
			all = all && has[word]
		}
		if all {
			return true
		}
	}
	return false
}
