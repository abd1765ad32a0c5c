package wireguard

import (
	"errors"
	"net/netip"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay/wireguard/rollover"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// second is a member's second device: see the package. It is there while a PSK
// changes that the other end does not have yet.
type second struct {
	open func() device
	// ahead is how far its ports are above the member's.
	ahead uint16

	dev device // nil: closed
}

// confirm is how often it shows that it is there.
const confirm = 2 * time.Second

// configure opens, changes or closes it.
func (s *second) configure(private *secret.Key, port uint16, links []*link) error {
	to := settings{private: private, port: port + s.ahead, mtu: 1280}
	for _, l := range links {
		if !l.told || l.orders.Second == rollover.Closed {
			continue
		}
		psk, err := l.keys.get(l.orders.SecondPSK)
		if err != nil {
			return err
		}
		p := peer{public: l.public, psk: psk, name: l.orders.SecondPSK}
		if l.orders.Second == rollover.Calling && l.endpoint.IsValid() {
			addr := l.endpoint.Addr()
			if l.last.endpoint.IsValid() {
				addr = l.last.endpoint.Addr()
			}
			p.endpoint, p.keepalive = netip.AddrPortFrom(addr, l.endpoint.Port()+s.ahead), confirm
		}
		to.peers = append(to.peers, p)
	}
	if len(to.peers) == 0 {
		return s.close()
	}
	if s.dev == nil {
		s.dev = s.open()
	}
	err := s.dev.configure(to)
	if errors.Is(err, errGone) {
		err = errors.Join(err, s.close())
	}
	return err
}

// look takes the handshakes that there were.
func (s *second) look(links []*link, now time.Time) error {
	if s.dev == nil {
		for _, l := range links {
			l.second = stamp{}
		}
		return nil
	}
	all, err := s.dev.read()
	for _, l := range links {
		l.second.see(all[l.public].handshake, now)
	}
	return err
}

func (s *second) close() error {
	if s.dev == nil {
		return nil
	}
	dev := s.dev
	s.dev = nil
	return dev.close()
}
