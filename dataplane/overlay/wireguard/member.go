package wireguard

import (
	"errors"
	"slices"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// member is one of the tunnel's, with its device. It is used under the Session's
// lock.
type member struct {
	overlay.Member
	pair   *identity.Pair
	port   uint16
	mtu    int
	dev    device
	second *second
	links  []*link // in the configuration's order
	probe  *prober // nil: none

	gone bool
	err  error // of the last look
}

// configure makes the links as configured, and keeps those that stay.
func (m *member) configure(t config.Tunnel, now time.Time) error {
	peers, err := peersOf(t, m.N)
	if err != nil {
		return err
	}
	m.port, m.mtu = t.WireGuard.Port+uint16(m.N), t.MTU
	var links []*link
	for _, c := range peers {
		l := m.link(c.public)
		switch {
		case l == nil:
			l = newLink(c, m.dev.forces(), m.pair.Public, now)
		case l.keychain != c.keychain && c.keychain == "":
			l.configured = c
			l.none(now)
		default:
			l.configured = c
		}
		links = append(links, l)
	}
	for _, l := range m.links {
		if !slices.Contains(links, l) {
			l.zero()
		}
	}
	m.links = links
	return nil
}

func (m *member) link(p identity.Public) *link {
	for _, l := range m.links {
		if l.public == p {
			return l
		}
	}
	return nil
}

// adopt takes over what the device has.
func (m *member) adopt(now time.Time) error {
	psks, err := m.dev.adopt()
	for p, psk := range psks {
		if l := m.link(p); l != nil {
			l.adopt(psk, now)
		} else if psk != nil {
			psk.Zero()
		}
	}
	return err
}

func (m *member) setPSKs(peer int, s keychain.PSKSelection, now time.Time) {
	if peer < len(m.links) {
		m.links[peer].setPSKs(s, now)
	}
}

// step looks at the device, and has it as it is to be.
func (m *member) step(now time.Time) {
	m.err = m.look(now)
	if m.gone = errors.Is(m.err, errGone); m.gone {
		return
	}
	for _, l := range m.links {
		l.step(now)
	}
	m.err = errors.Join(m.err, m.apply(now))
	for _, l := range m.links {
		l.forget()
	}
}

func (m *member) look(now time.Time) error {
	all, err := m.dev.read()
	if err != nil {
		return err
	}
	for _, l := range m.links {
		l.see(all[l.public], now)
	}
	return m.second.look(m.links, now)
}

// apply carries the orders out.
func (m *member) apply(now time.Time) error {
	s := settings{private: m.pair.Private, port: m.port, mtu: m.mtu}
	var errs []error
	for _, l := range m.links {
		p, ok, err := l.peer(now)
		if errs = append(errs, err); ok {
			s.peers = append(s.peers, p)
		}
	}
	err := m.dev.configure(s)
	errs = append(errs, err)
	for _, l := range m.links {
		if err == nil && l.told && l.orders.Handshake && !now.Before(l.quiet) && (l.endpoint.IsValid() || l.last.endpoint.IsValid()) {
			// That the network does not take it is no fault of the device's.
			if e := m.dev.begin(l.public, s); errors.Is(e, errGone) {
				errs = append(errs, e)
			}
		}
	}
	return errors.Join(append(errs, m.second.configure(m.pair.Private, m.port, m.links))...)
}

// session tells whether a link has one.
func (m *member) session(now time.Time) bool {
	return !m.gone && slices.ContainsFunc(m.links, func(l *link) bool { return l.session(now) })
}

// live tells whether the member carries traffic.
func (m *member) live(now time.Time) bool {
	return m.session(now) && (m.probe == nil || m.probe.answered())
}

// secured tells whether it carries traffic under a PSK that is wanted.
func (m *member) secured(now time.Time) bool {
	return m.live(now) && slices.ContainsFunc(m.links, func(l *link) bool { return l.secured(now) })
}

// next is when to step again.
func (m *member) next(now time.Time) time.Time {
	at := now.Add(idle)
	if m.gone || m.err != nil {
		return now.Add(time.Second)
	}
	for _, l := range m.links {
		if l.quiet.After(now) && l.quiet.Before(at) {
			at = l.quiet
		}
		if l.orders.Next.Before(at) {
			at = l.orders.Next
		}
		if l.session(now) {
			if end := l.at.mono.Add(180 * time.Second); end.Before(at) {
				at = end
			}
			continue
		}
		wait := time.Second
		if now.Sub(l.lostAt) < 30*time.Second {
			wait = quick
		}
		if soon := now.Add(wait); soon.Before(at) {
			at = soon
		}
	}
	return at
}

func (m *member) close(remove bool) error {
	m.probe.close()
	end := m.dev.close
	if remove {
		end = m.dev.remove
	}
	err := errors.Join(m.second.close(), end())
	for _, l := range m.links {
		l.zero()
	}
	return err
}
