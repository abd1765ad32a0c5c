// Package status is the read model: what a running daemon says of its ports,
// keys and counters, as one JSON document (Status), as text for people
// (Write), and over the control socket (Listen, Serve, Client).
//
// The socket also takes requests: reload, rotate. It is HTTP, for root and one
// group, by the kernel's word on who connected; endpoints.go has what there is
// and who may have it.
//
// It holds no state of its own. The daemon gives Serve functions that take a
// snapshot and do what is asked for (Daemon).
package status

import (
	"time"

	"github.com/linkseal/linkseal/dataplane/account"
)

// Status is the document of `status --json` and of GET /v1/status. Names and
// nesting are a public interface: fields are added, never changed.
type Status struct {
	Name    string   `json:"name"`    // of the appliance
	Version string   `json:"version"` // of linkseal
	Ports   []Port   `json:"ports"`
	Tunnels []Tunnel `json:"tunnels"`
	// Keychains are those that ports use.
	Keychains []Keychain `json:"keychains"`
	// SealError is why the last good keys cannot be sealed: an alarm. A
	// restart without their source would have none.
	SealError string `json:"seal_error,omitempty"`
	// Unsealed is why a restart would not have the keys of Keychains now:
	// SealError, or that they are yet to be sealed. Empty if it would. It is for
	// the daemon itself: no part of the document.
	Unsealed string `json:"-"`
	// ClockHeld is the time by which keys are chosen, while the machine's
	// clock is earlier than when they were sealed, or much later, and not set; else absent.
	ClockHeld *time.Time `json:"clock_held,omitempty"`
	// Reload is the last reload's errors, one each; absent if it went well.
	Reload []string `json:"reload_errors,omitempty"`
	// Memory is how keys are kept in the daemon's.
	Memory *Memory `json:"memory,omitempty"`
	// Metrics is how they are served; absent if they are not to be.
	Metrics *Metrics `json:"metrics,omitempty"`
}

// Metrics is the endpoint that a configuration's metrics.listen asks for.
type Metrics struct {
	Listen  string `json:"listen"` // address and port
	Serving bool   `json:"serving"`
	// Error is why it cannot be opened; it is tried again.
	Error string `json:"error,omitempty"`
}

// The states of a Port.
const (
	Secured   = "secured"
	Unsecured = "unsecured"
	Down      = "down" // the device or the MACsec device on it is not there, or has no carrier
)

// What a Port's Passing says of its traffic.
const (
	PassingProtected = "protected" // while it is secured
	PassingClear     = "clear"     // should-secure without a peer
	PassingNone      = "none"
)

// Port is one MACsec port.
type Port struct {
	Name      string `json:"name"`
	Device    string `json:"device"`
	Interface string `json:"interface"`
	Dataplane string `json:"dataplane"` // kernel or userspace
	// DataplaneReason says why it is that one.
	DataplaneReason string `json:"dataplane_reason"`
	// PortIO says how the user-space SecY's frames reach the port.
	PortIO  string `json:"port_io,omitempty"`
	State   string `json:"state"`
	Secure  string `json:"secure"` // must or should
	Cipher  string `json:"cipher"`
	Encrypt bool   `json:"encrypt"` // false: integrity only
	SCI     string `json:"sci"`     // 16 hex digits; empty while there is no device
	// SecuredSince is when the port was last secured; null while it is not.
	SecuredSince *time.Time `json:"secured_since"`
	// UnsecuredReason says why the port is not secured, and Remedy, where
	// one is known, what to do. Empty while it is secured.
	UnsecuredReason string `json:"unsecured_reason,omitempty"`
	Remedy          string `json:"remedy,omitempty"`
	// Problem is why the port cannot be made as configured. A secured port
	// may have one and goes on.
	Problem  string `json:"problem,omitempty"`
	Passing  string `json:"passing"` // protected, clear or none
	Keychain string `json:"keychain"`
	// KeysError is why the keychain's source could not be used at the last
	// try. The keys before it go on.
	KeysError string `json:"keys_error,omitempty"`
	// StateError is why what a restart needs cannot be saved: an alarm. A
	// daemon that is started again would not know the CKNs of its SAs.
	StateError   string            `json:"state_error,omitempty"`
	Participants []Participant     `json:"participants"`
	Tx           *Tx               `json:"tx"` // null while no SA encodes
	Rx           []Rx              `json:"rx"`
	Counters     map[string]uint64 `json:"counters"`
	// Filter counts what the filter on the parent saw, by direction and verdict:
	// ingress_macsec_packets, ingress_macsec_octets. That of a should-secure
	// port drops nothing. Absent without one.
	Filter map[string]uint64 `json:"filter,omitempty"`
	// OuterCircuits count its MACsec frames that had VLAN tags before the
	// SecTAG, by these: those of the first 512 that were seen, and the rest.
	OuterCircuits []Circuit `json:"outer_circuits,omitempty"`
	// Accounts are what passed under each key: those of the keys that are
	// there, then of some that ended, the newest first. Absent where no filter
	// counts.
	Accounts []account.Account `json:"accounts,omitempty"`
	// NoAccount counts the MACsec frames that are in no account, in both
	// directions: of SAs that are not there. Absent where no filter counts.
	NoAccount *account.Count `json:"no_account,omitempty"`
	// AccountError is why they are not counted, or not kept.
	AccountError string `json:"account_error,omitempty"`
	Drops
	// Enforcement is what keeps a must-secure port closed; absent of others,
	// and while the device is not there.
	Enforcement *Enforcement `json:"enforcement,omitempty"`
	Tagging
}

// Participant is one CKN's MKA instance (802.1X-2020 9.2).
type Participant struct {
	CKN       string `json:"ckn"` // hex
	Principal bool   `json:"principal"`
	KeyServer bool   `json:"key_server"` // this end is the elected key server
	Priority  uint8  `json:"priority"`   // own key server priority
	// Held is true of a key that has expired or left the keychain and is kept
	// because it carries traffic: an alarm.
	Held bool `json:"held,omitempty"`
	// Fingerprint names the CAK without giving it away.
	Fingerprint string `json:"fingerprint,omitempty"`
	MI          string `json:"mi,omitempty"` // own
	Peers       []Peer `json:"peers"`
}

// Peer is a member of the CA that was heard.
type Peer struct {
	SCI      string `json:"sci"`
	MI       string `json:"mi"`
	Live     bool   `json:"live"` // it lists us; else potential
	Priority uint8  `json:"priority"`
	// Suspended: it is away, by its own word, and kept live meanwhile.
	Suspended bool `json:"suspended,omitempty"`
	// ICVBad counts MKPDUs under its MI with a bad ICV: copies of somebody's.
	ICVBad uint64 `json:"icv_bad,omitempty"`
}

// Tx is the encoding SA. PN is the next to be sent.
type Tx struct {
	AN  uint8  `json:"an"`
	PN  uint64 `json:"pn"`
	Key string `json:"key,omitempty"` // key identifier: MI/KN
	CKN string `json:"ckn,omitempty"` // under which the SAK was agreed on; empty: not known
	// PeersTransmit is true when every live peer announces that it transmits
	// with this key too.
	PeersTransmit bool `json:"peers_transmit"`
	// Since is when the SA's key was made or arrived, or, of an SA that the
	// daemon found at its start, then; absent: not known.
	Since *time.Time `json:"since,omitempty"`
}

// Rx is a receive SA. PN is the next expected.
type Rx struct {
	SCI string `json:"sci"`
	AN  uint8  `json:"an"`
	PN  uint64 `json:"pn"`
	Key string `json:"key,omitempty"`
	CKN string `json:"ckn,omitempty"` // as Tx's
	// Since is as Tx's.
	Since *time.Time `json:"since,omitempty"`
}

// Fill makes absent lists empty ones, so that scripts see [] and {} and not
// null.
func (s *Status) Fill() {
	if s.Ports == nil {
		s.Ports = []Port{}
	}
	if s.Tunnels == nil {
		s.Tunnels = []Tunnel{}
	}
	if s.Keychains == nil {
		s.Keychains = []Keychain{}
	}
	for i := range s.Keychains {
		s.Keychains[i].fill()
	}
	for i := range s.Tunnels {
		s.Tunnels[i].fill()
	}
	for i := range s.Ports {
		p := &s.Ports[i]
		if p.Participants == nil {
			p.Participants = []Participant{}
		}
		for j := range p.Participants {
			if p.Participants[j].Peers == nil {
				p.Participants[j].Peers = []Peer{}
			}
		}
		if p.Rx == nil {
			p.Rx = []Rx{}
		}
		if p.Counters == nil {
			p.Counters = map[string]uint64{}
		}
	}
}
