package wireguard

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// errGone says that a device's interface is not there any more.
var errGone = errors.New("the interface is gone")

// device is a WireGuard, the kernel's or one in this process. It is for one
// goroutine at a time.
type device interface {
	// configure makes it so: it changes what differs, and a peer that stays
	// keeps its session, but for a new generation. It may be called again after
	// an error.
	configure(settings) error
	// begin begins a handshake, if it can: see forces.
	begin(identity.Public, settings) error
	// forces tells that begin does, also while there is a session.
	forces() bool
	// read tells how it is; errGone if its interface is gone.
	read() (map[identity.Public]reading, error)
	// adopt are the PSKs of the peers that it had before the first configure; the
	// caller zeroes them. nil of a peer without.
	adopt() (map[identity.Public]*secret.Key, error)
	// close lets go of it. What the kernel has goes on.
	close() error
	// remove takes away what encrypts.
	remove() error
}

// settings are what a device is to have.
type settings struct {
	private *secret.Key
	port    uint16
	mtu     int
	peers   []peer
}

// peer is a peer as it is to be.
type peer struct {
	public identity.Public
	// psk is called name: it differs if the octets do. nil, of the empty name, is
	// none. keep: what the device has stays.
	psk  *secret.Key
	name string
	keep bool
	// generation: with another one the session is ended.
	generation int
	// endpoint as configured; the zero one is not set. It roams: it is set again
	// only if it changes here, or redirect does.
	endpoint  netip.AddrPort
	redirect  int
	keepalive time.Duration
	allowed   []netip.Prefix
}

// reading is how a peer is.
type reading struct {
	endpoint  netip.AddrPort
	handshake time.Time // by the wall clock; zero: none
	rx, tx    uint64    // octets, WireGuard's own included
	// refused is how many of its answers to a handshake did not verify, as far as
	// that is told.
	refused uint64
}

// same tells that b needs nothing that a does not have.
func same(a, b peer) bool {
	return a.public == b.public && (b.keep || a.name == b.name && !a.keep) && a.generation == b.generation && a.endpoint == b.endpoint &&
		a.redirect == b.redirect && a.keepalive == b.keepalive && slices.Equal(a.allowed, b.allowed)
}

// find is the peer of that key.
func (s settings) find(p identity.Public) (peer, bool) {
	i := slices.IndexFunc(s.peers, func(q peer) bool { return q.public == p })
	if i < 0 {
		return peer{}, false
	}
	return s.peers[i], true
}
