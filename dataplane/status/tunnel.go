package status

import "time"

// Tunnel is an overlay. Its State is Secured while a member is live, under a
// PSK of its keychain if it has one, Unsecured while none is, Down while its interfaces or what encrypts are missing.
type Tunnel struct {
	Name      string `json:"name"`
	Type      string `json:"type"`   // wireguard or ipsec
	Device    string `json:"device"` // the underlay
	Interface string `json:"interface"`
	Dataplane string `json:"dataplane"` // kernel or userspace
	// DataplaneReason says why it is that one.
	DataplaneReason string     `json:"dataplane_reason"`
	State           string     `json:"state"`
	Since           *time.Time `json:"since"`  // when State became so; null: not known
	Secure          string     `json:"secure"` // must or should
	Local           string     `json:"local"`
	Remote          string     `json:"remote"`
	// Protect are the prefixes that travel in it alone.
	Protect []string `json:"protect"`
	// Passing says of them: protected, clear (should, and no member is live), or
	// none.
	Passing string `json:"passing"`
	// Problem is what keeps the tunnel or a member from being made or live: which
	// side, what was offered, what is accepted; and Remedy what to do.
	Problem string `json:"problem,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
	// ClearRoutes are ways by which what is protected is reached too: an alarm.
	ClearRoutes []string `json:"clear_routes"`
	Keychains   []string `json:"keychains"`
	// KeysError is why a keychain's source could not be used at the last try.
	// The keys before it go on.
	KeysError string   `json:"keys_error,omitempty"`
	PublicKey string   `json:"public_key,omitempty"` // of WireGuard: ours, base64
	Members   []Member `json:"members"`
	// Dropped is what was dropped by each interface, of the counters rx_dropped,
	// rx_errors, tx_dropped and tx_errors, as the kernel has them; under xfrm, of the
	// kernel's IPsec, what it dropped of all tunnels together, and each reason there was
	// by the kernel's name, as XfrmInNoStates.
	Dropped map[string]map[string]uint64 `json:"dropped"`
	// Filter counts what the filter on the underlay saw; absent without one.
	Filter map[string]uint64 `json:"filter,omitempty"`
	// Drops are of all tunnels on the device.
	Drops
	// Flows count the tunnel's packets on the underlay.
	Flows []Flow `json:"flows,omitempty"`
	// Enforcement is what keeps Protect off the underlay; absent of should, and
	// while the device is not there.
	Enforcement *Enforcement `json:"enforcement,omitempty"`
	// Fenced is what all tunnels protect and would have left by an interface that is
	// no tunnel's, and did not; absent without a fence.
	Fenced *Fenced `json:"fenced,omitempty"`
}

// Fenced counts since the fence was first set.
type Fenced struct {
	Packets uint64 `json:"packets"`
	Octets  uint64 `json:"octets"`
}

// XFRM is the kernel's IPsec among the interfaces of Tunnel.Dropped.
const XFRM = "xfrm"

// Member is one of a tunnel's parallel members.
type Member struct {
	N         int    `json:"n"`
	Interface string `json:"interface,omitempty"`
	Live      bool   `json:"live"`
	// Local and Remote are the ends as last heard, with their ports; absent: not
	// known.
	Local  string `json:"local,omitempty"`
	Remote string `json:"remote,omitempty"`
	// Handshake is WireGuard's last; of IPsec when the IKE_SA was established.
	Handshake *time.Time `json:"handshake"`
	// KeyID is of the PSK under which it was made; absent: none, or a
	// certificate.
	KeyID     string `json:"key_id,omitempty"`
	RxOctets  uint64 `json:"rx_octets"`
	TxOctets  uint64 `json:"tx_octets"`
	RxPackets uint64 `json:"rx_packets"`
	TxPackets uint64 `json:"tx_packets"`
	IKE       string `json:"ike,omitempty"` // suites in strongSwan's words
	ESP       string `json:"esp,omitempty"`
	// SPIIn and SPIOut are those of the CHILD_SAs, 8 hex digits each.
	SPIIn  []string `json:"spi_in,omitempty"`
	SPIOut []string `json:"spi_out,omitempty"`
	Rekeys uint64   `json:"rekeys"`
	// RTT is the probe's, in seconds, and ProbeLost the share of the last probes
	// that were not answered; absent without a probe.
	RTT       *float64 `json:"rtt_seconds,omitempty"`
	ProbeLost *float64 `json:"probe_lost,omitempty"`
	Problem   string   `json:"problem,omitempty"`
	// Peers are those of WireGuard, the tunnel's other end first.
	Peers []TunnelPeer `json:"peers,omitempty"`
}

// TunnelPeer is one of a WireGuard member's peers.
type TunnelPeer struct {
	PublicKey string     `json:"public_key"`
	Keychain  string     `json:"keychain,omitempty"` // absent: it has no PSK
	Live      bool       `json:"live"`               // it has a session
	Remote    string     `json:"remote,omitempty"`
	Handshake *time.Time `json:"handshake"`
	// KeyID is of the PSK under which that was made; absent: none, or not known.
	KeyID    string `json:"key_id,omitempty"`
	RxOctets uint64 `json:"rx_octets"`
	TxOctets uint64 `json:"tx_octets"`
	Problem  string `json:"problem,omitempty"`
}

// Flow counts one direction of what carries a tunnel, since the filter has known
// it.
type Flow struct {
	Protocol  string `json:"protocol"`  // wireguard, esp, ike
	Direction string `json:"direction"` // egress, ingress
	Local     string `json:"local"`
	Remote    string `json:"remote"` // any: of WireGuard whose end moves
	SPI       string `json:"spi,omitempty"`
	Traffic
	// Gaps estimates how many packets of an SA are missing in between.
	Gaps uint64 `json:"gaps,omitempty"`
}

func (t *Tunnel) fill() {
	for _, list := range []*[]string{&t.Protect, &t.ClearRoutes, &t.Keychains} {
		if *list == nil {
			*list = []string{}
		}
	}
	if t.Dropped == nil {
		t.Dropped = map[string]map[string]uint64{}
	}
	if t.Members == nil {
		t.Members = []Member{}
	}
}
