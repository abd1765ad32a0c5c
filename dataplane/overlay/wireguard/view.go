package wireguard

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay"
)

// judge finds the state, and says if something has changed. The caller has the
// lock.
func (s *Session) judge(now time.Time) {
	state := overlay.Unsecured
	live := make([]bool, len(s.members))
	gone, secured := 0, false
	for i, m := range s.members {
		live[i] = m.live(now)
		secured = secured || m.secured(now)
		if m.gone {
			gone++
		}
	}
	switch {
	case secured:
		state = overlay.Secured
	case slices.Contains(live, true):
		// What is left of a session under a PSK that is not wanted any more.
	case gone == len(s.members):
		state = overlay.Down
	case s.state == overlay.Unknown && now.Sub(s.opened) < grace:
		state = overlay.Unknown
	}
	changed := state != s.state || !slices.Equal(live, s.told)
	if state != s.state || s.since.IsZero() {
		s.state, s.since = state, now
	}
	if s.told = live; changed {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

// View implements overlay.Session. It looks at the devices if that was not just
// done.
func (s *Session) View() overlay.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.looked) > fresh && !s.closed {
		s.step()
	}
	v := overlay.View{State: s.state, Since: s.since, PublicKey: s.pair.Public.String()}
	for _, m := range s.members {
		mv, remedy := s.member(m, now)
		if v.Problem == "" && mv.Problem != "" {
			v.Problem, v.Remedy = mv.Problem, remedy
		}
		v.Members = append(v.Members, mv)
	}
	if s.err != nil && v.Problem == "" {
		v.Problem = s.err.Error()
	}
	if s.source != nil && s.source.err != nil && (v.Problem == "" || v.State != overlay.Secured) {
		v.Problem, v.Remedy = s.source.err.Error(), "" // it may well be why
	}
	return v
}

// member is the view of one, and what to do about its problem.
func (s *Session) member(m *member, now time.Time) (v overlay.MemberView, remedy string) {
	v = overlay.MemberView{
		N: m.N, Interface: m.Interface, Live: m.live(now),
		Local: netip.AddrPortFrom(s.tunnel.Local, m.port),
	}
	for i, l := range m.links {
		v.RxOctets += l.last.rx
		v.TxOctets += l.last.tx
		if i == 0 {
			v.Remote, v.KeyID = l.remote(), l.keyID()
		}
		if l.last.handshake.After(v.Handshake) {
			v.Handshake = l.last.handshake
		}
	}
	say := func(problem, then string) {
		if v.Problem == "" {
			v.Problem, remedy = problem, then
		}
	}
	switch {
	case m.gone:
		say("interface "+m.Interface+" is gone", "linkseal makes it again; who deletes it?")
	case m.err != nil && !errors.Is(m.err, errGone):
		say(m.err.Error(), "")
	}
	for _, l := range m.links {
		p, then := l.view(now)
		say(p.Problem, then)
		v.Peers = append(v.Peers, p)
	}
	if m.probe != nil {
		r := m.probe.Result()
		v.RTT, v.ProbeLost = r.RTT, r.Lost
		if !r.Answered && r.Problem == "" {
			r.Problem = "no answer to the probe of " + m.probe.conf.Address.String()
		}
		say(r.Problem, "an address at the other end that answers pings, in its allowed_ips and in ours")
	}
	return v, remedy
}

// view is how the link is, and what to do about its problem.
func (l *link) view(now time.Time) (p overlay.PeerView, remedy string) {
	p = overlay.PeerView{
		PublicKey: l.public.String(), Keychain: l.keychain, Live: l.session(now), Remote: l.remote(),
		Handshake: l.last.handshake, KeyID: l.keyID(), RxOctets: l.last.rx, TxOctets: l.last.tx,
	}
	p.Problem, remedy = l.problem(now)
	return p, remedy
}
