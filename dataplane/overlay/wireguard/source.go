package wireguard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/nft"
)

// WireGuard's sockets, the kernel's and those in this process, are bound to no
// address: until a peer has been heard the routes say which source its packets
// have. Where that is not the tunnel's local, nftables has them leave with it.

const (
	// sought is how often it is looked at with no session, and settled with one,
	// which has learnt its source.
	sought, settled = 5 * time.Second, time.Minute
)

// source has a tunnel's packets leave from local.
type source struct {
	ns     *netns.NS
	name   string // of the chain
	local  netip.Addr
	remote netip.AddrPort
	ports  [2]uint16 // the first and the last

	looked time.Time
	known  bool // set is what is so
	set    bool
	err    error
}

// look sets it if the routes have another source. nil has nothing to do.
func (s *source) look(now time.Time, session bool) {
	every := sought
	if session {
		every = settled
	}
	if s == nil || !s.looked.IsZero() && now.Sub(s.looked) < every {
		return
	}
	s.looked = now
	chosen, err := s.chosen()
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		s.err, err = fmt.Errorf("local %s is no address of this machine; give it to an interface", s.local), nil
	case err != nil:
		// There is no way to the other end now; the device tells.
		s.err, err = nil, nil
	default:
		s.err = nil
		err = s.have(s.set || chosen != s.local)
	}
	if err != nil && chosen != s.local {
		s.err = fmt.Errorf("packets leave from %s, not from local %s: %w", chosen, s.local, err)
	}
}

// chosen is the source that the routes choose, if local is an address at all.
func (s *source) chosen() (from netip.Addr, err error) {
	err = s.ns.Do(func() error {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.local, 0)))
		if err != nil {
			return err
		}
		c.Close()
		c, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.remote)) // nothing is sent
		if err != nil {
			return err
		}
		defer c.Close()
		from = c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		return nil
	})
	return from.WithZone(""), err
}

// KeepSources takes away what a linkseal before this one has left for tunnels
// whose interfaces are not among these. A kernel without nftables has none.
func KeepSources(ns *netns.NS, interfaces []string) error {
	var h *nft.Handle
	if err := ns.Do(func() (err error) { h, err = nft.Open(); return err }); err != nil {
		return err
	}
	defer h.Close()
	err := h.KeepSources(interfaces)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil
	}
	return err
}

// have sets it, though it be set: somebody may have flushed all of nftables; or
// takes it away.
func (s *source) have(set bool) error {
	if s == nil || !set && s.known && !s.set {
		return nil
	}
	var h *nft.Handle
	if err := s.ns.Do(func() (err error) { h, err = nft.Open(); return err }); err != nil {
		return err
	}
	defer h.Close()
	var err error
	if set {
		err = h.SetSource(s.name, nft.Source{Local: s.local, First: s.ports[0], Last: s.ports[1]})
	} else {
		err = h.RemoveSource(s.name)
	}
	s.known, s.set = err == nil, set && err == nil
	return err
}
