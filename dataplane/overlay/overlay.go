// Package overlay has what all tunnels have in common: where one runs (Place),
// how it is (View), and the seam between what owns its place and what encrypts
// (Session). It is types alone, without IO or clock.
//
// The reconciler (dataplane/reconcile) owns interfaces, addresses, MTU, MSS,
// routes, rules and the enforcement on the underlay. A Session owns what
// encrypts: WireGuard's peers and PSKs (overlay/wireguard), charon's
// connections (overlay/ipsec). It says which members are live; the reconciler
// routes over these, and over no other.
//
// # An interface that a Session makes
//
// The tun of charon in user space is made by charon. Its Session names it in its
// View, by its name on the machine, and gives it the alias of Alias. The
// reconciler sets its MTU, addresses and MSS, brings it up, and routes over it
// while it is live; it deletes it when the tunnel is not configured any more.
package overlay

import (
	"net/netip"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// Member is one of a tunnel's parallel members.
type Member struct {
	N         int // from 0
	Interface string
	Index     int // ifindex; 0: none (transport mode, or charon's tun is not there yet)
}

// Place is where a tunnel runs: what the reconciler has made for it.
type Place struct {
	Members   []Member
	Userspace bool
}

// State is how a tunnel is as a whole.
type State string

const (
	// Unknown is before the Session has found out: what is routed stays so, for
	// a few seconds at the most. An Open that adopts what lives in the kernel
	// says at once what is live.
	Unknown State = ""
	// Secured: a member is live.
	Secured State = "secured"
	// Unsecured: none is.
	Unsecured State = "unsecured"
	// Down: its interface or charon is missing.
	Down State = "down"
)

// View is how a tunnel is.
type View struct {
	State   State
	Since   time.Time // when State became so
	Members []MemberView
	// Problem says what keeps the tunnel, or a member, from being live: which
	// side, what was offered, what is accepted; Remedy what to do. "" if none.
	Problem, Remedy string
	PublicKey       string // WireGuard: ours, base64
}

// MemberView is how a member is.
type MemberView struct {
	N             int
	Interface     string
	Live          bool
	Local, Remote netip.AddrPort // as last heard (roaming)
	// Handshake is WireGuard's last; of IPsec, when the IKE_SA was established.
	Handshake time.Time
	// KeyID is of the PSK under which it was made; "": none, or a certificate.
	KeyID                                    string
	RxOctets, TxOctets, RxPackets, TxPackets uint64
	IKE, ESP                                 string // suites in strongSwan's words
	SPIIn, SPIOut                            []uint32
	Rekeys                                   uint64
	Handed                                   uint64        // of the kernel's IPsec: came before their SA, and were handed over
	RTT                                      time.Duration // of the probe; 0: none answered
	ProbeLost                                float64       // share of the last probes, 0 to 1
	Problem                                  string
	Peers                                    []PeerView // of WireGuard, the tunnel's other end first
}

// PeerView is how one of a member's peers is.
type PeerView struct {
	PublicKey          string // base64
	Keychain           string // "": it has no PSK
	Live               bool   // it has a session
	Remote             netip.AddrPort
	Handshake          time.Time
	KeyID              string // of the PSK under which it was made
	RxOctets, TxOctets uint64
	Problem            string
}

// Live tells whether a member is.
func (v View) Live() bool {
	for _, m := range v.Members {
		if m.Live {
			return true
		}
	}
	return false
}

// Session is a tunnel, running. Methods do not block on the network, and may be
// called from any goroutine.
type Session interface {
	// SetPSKs gives it what the keychain holds now. It keeps clones, which it
	// zeroes when they are replaced.
	SetPSKs(keychain.PSKSelection)
	// Configure tells of a changed configuration in what does not end the
	// session: see SameSession.
	Configure(config.Tunnel)
	View() View
	// Changed has a token after View's liveness or SPIs have changed.
	Changed() <-chan struct{}
	// Close ends it. What encrypts stays in the kernel.
	Close() error
	// Remove is Close, and takes away what encrypts: the tunnel is not
	// configured any more, or its interfaces go.
	Remove() error
}

// PeerKeyed is a Session whose further peers have PSKs of their own.
type PeerKeyed interface {
	// SetPeerPSKs is SetPSKs for the WireGuard.Peers[n] of the configuration
	// that the Session was told last.
	SetPeerPSKs(n int, s keychain.PSKSelection)
}
