package wireguard

import (
	"net/netip"
	"slices"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/identity"
)

// configured is a peer as the configuration has it, for one member.
type configured struct {
	public    identity.Public
	endpoint  netip.AddrPort // the zero one: it comes to us
	allowed   []netip.Prefix
	keepalive time.Duration
	keychain  string // empty: no PSK
}

// peersOf are the peers of member n, the first of which is the tunnel's other
// end.
func peersOf(t config.Tunnel, n int) ([]configured, error) {
	w := t.WireGuard
	first, err := identity.ParsePublic(w.PeerPublicKey)
	if err != nil {
		return nil, err
	}
	peers := []configured{{first, netip.AddrPortFrom(t.Remote, w.Port+uint16(n)), w.AllowedIPs, w.Keepalive, w.Keychain}}
	for _, p := range w.Peers {
		public, err := identity.ParsePublic(p.PublicKey)
		if err != nil {
			return nil, err
		}
		c := configured{public, p.Remote, p.AllowedIPs, w.Keepalive, p.Keychain}
		if c.endpoint.IsValid() {
			c.endpoint = netip.AddrPortFrom(p.Remote.Addr(), p.Remote.Port()+uint16(n))
		}
		peers = append(peers, c)
	}
	for i := range peers {
		peers[i].allowed = sorted(peers[i].allowed)
	}
	return peers, nil
}

// sorted is a copy, in the order in which lists of networks compare here.
func sorted(networks []netip.Prefix) []netip.Prefix {
	s := slices.Clone(networks)
	slices.SortFunc(s, netip.Prefix.Compare)
	return s
}
