package config

import (
	"net/netip"
	"strconv"
	"time"
)

// The types of a Tunnel.
const (
	TypeWireGuard = "wireguard"
	TypeIPsec     = "ipsec"
)

// Tunnel is a WireGuard or IPsec overlay. One of WireGuard and IPsec is not nil,
// as Type says.
type Tunnel struct {
	Name, Type string // TypeWireGuard, TypeIPsec
	// Device is the underlay. Interface is that of member 0, the tunnel's own
	// end; empty in transport mode, which has none.
	Device, Interface string
	Dataplane         string // Auto, Kernel, Userspace
	Local, Remote     netip.Addr
	Count             int  // of members, 1 to 64
	Must              bool // secure: must; false: should
	// Protect are the prefixes that may only travel in the tunnel; in transport
	// mode the remote host itself.
	Protect []netip.Prefix
	// Addresses of each member's interface; nil: they are somebody else's.
	Addresses []netip.Prefix
	MTU, MSS  int // octets; MSS 0: not clamped
	// FitMTU and FitMSS: it was absent. MTU is the most then, less where the device
	// has no room for what the tunnel adds; MSS is as MTU leaves it, less MSSRoom.
	FitMTU, FitMSS bool
	// CopyDSCP puts the inner header's DSCP into the outer; false: that is 0. It is
	// of the kernel's IPsec alone.
	CopyDSCP  bool
	Probe     *Probe // nil: none
	WireGuard *WireGuard
	IPsec     *IPsec
}

// Probe is ICMP echo inside each member.
type Probe struct {
	Address  netip.Addr
	Interval time.Duration
	Lost     int // as many in a row unanswered: the member is not live
}

// WireGuard is the part of a tunnel of that type.
type WireGuard struct {
	// Port is the UDP port of member 0, at both ends; member i has Port + i.
	Port       uint16
	PrivateKey string // path; made if it is not there
	// PeerPublicKey is the first peer's, which is at Remote, in base64.
	PeerPublicKey string
	// AllowedIPs of the first peer: as configured, else Protect and the networks
	// of Addresses.
	AllowedIPs []netip.Prefix
	Keychain   string // of its PSKs; empty: none
	Keepalive  time.Duration
	Peers      []Peer // further ones
}

// Peer is a further WireGuard peer. The keepalive is the tunnel's.
type Peer struct {
	PublicKey  string         // base64
	Remote     netip.AddrPort // of member 0; the zero one: it comes to us
	AllowedIPs []netip.Prefix
	Keychain   string // empty: none
}

// Modes of an IPsec tunnel, and how its ends authenticate.
const (
	ModeTunnel      = "tunnel"
	ModeTransport   = "transport"
	AuthPSK         = "psk"
	AuthCertificate = "certificate"
)

// IPsec is the part of a tunnel of that type.
type IPsec struct {
	Profile           string // by its name; empty: none
	LocalID, RemoteID string // empty: the addresses, or of a certificate its subject
	Auth              string // AuthPSK, AuthCertificate
	Keychain          string // of PSKs, or of a vault's certificate; empty: Certificate and PrivateKey
	Mode              string // ModeTunnel, ModeTransport
	// IKE and ESP are proposals in strongSwan's words; nil: the profile's.
	IKE, ESP  []string
	AllowWeak bool
	// Certificate, PrivateKey and CA are paths of PEM files. CA has those who
	// issue the other end's certificate, wherever ours is.
	Certificate, PrivateKey, CA string
	DPD                         time.Duration
	Rekey                       Rekey
}

// Rekey says when SAs are made anew; 0: as the profile has it.
type Rekey struct {
	IKE, Child time.Duration
	Octets     uint64 // of a CHILD_SA
}

// Transport tells a tunnel without an interface.
func (t Tunnel) Transport() bool { return t.IPsec != nil && t.IPsec.Mode == ModeTransport }

// Remotes are the addresses to which the tunnel's own packets go.
func (t Tunnel) Remotes() []netip.Addr {
	all := []netip.Addr{t.Remote}
	if t.WireGuard != nil {
		for _, p := range t.WireGuard.Peers {
			if p.Remote.IsValid() {
				all = append(all, p.Remote.Addr())
			}
		}
	}
	return all
}

// MemberInterface is the name of member n's interface; empty in transport mode.
func (t Tunnel) MemberInterface(n int) string {
	if n == 0 || t.Interface == "" {
		return t.Interface
	}
	return t.Interface + "-" + strconv.Itoa(n)
}

// Ports is how many UDP ports a WireGuard tunnel has, from Port on: one a member,
// and as many above them for the second devices that prove a change of PSK.
func (t Tunnel) Ports() int {
	if t.WireGuard == nil {
		return t.Count
	}
	keyed := t.WireGuard.Keychain != ""
	for _, p := range t.WireGuard.Peers {
		keyed = keyed || p.Keychain != ""
	}
	if keyed {
		return 2 * t.Count
	}
	return t.Count
}

// Keychains names those that t uses, each once.
func (t Tunnel) Keychains() (names []string) {
	add := func(name string) {
		for _, n := range names {
			if n == name {
				return
			}
		}
		if name != "" {
			names = append(names, name)
		}
	}
	switch {
	case t.WireGuard != nil:
		add(t.WireGuard.Keychain)
		for _, p := range t.WireGuard.Peers {
			add(p.Keychain)
		}
	case t.IPsec != nil:
		add(t.IPsec.Keychain)
	}
	return names
}
