package course

import (
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// View is what is seen of a keychain and of the ports that use it, or of the
// tunnels, if it is one of PSKs. The name of a PSK in use, where a CAK has its
// CKN, is its id.
type View struct {
	// Keys are the keychain's now, whatever their window.
	Keys []Key
	// Fault is why its source cannot be used; empty if it can.
	Fault string
	// Clock is why the clock cannot be trusted now; empty if it can. No rotation
	// begins then.
	Clock string
	// Unsealed is why the last good keys are not known to be sealed; empty if they are.
	// Nothing is retired then: a restart without the store would have the old
	// pairs alone.
	Unsealed string
	Ports    []Port
}

// Key is one of our own keychain.
type Key struct {
	ID       string // as Pair's
	CKN      keychain.CKN
	Start    time.Time // not_before, or when it was first seen
	Fallback bool
}

// Port is a port's key agreement and SecY at one moment. A tunnel is one too: its
// members are participants of the PSKs that their last handshakes were made
// under.
type Port struct {
	Name         string
	Secured      bool
	Participants []Participant
	// Encoding is the CKN whose SAK it encodes with; empty: none.
	Encoding keychain.CKN
	// PeersEncode tells that every live peer announces transmit with it too.
	PeersEncode bool
	// SAs has the CKN of every SA installed, empty for one that is not known.
	SAs      []keychain.CKN
	Counters map[string]uint64
	// Interfaces are the counters of a tunnel's interfaces, by their names.
	Interfaces map[string]map[string]uint64
}

// Participant is one CKN's on a port.
type Participant struct {
	CKN  keychain.CKN
	Live int // peers
}

// Losses are the counters of a port that say that frames were lost, or were
// not what the SAs at hand could open (802.1AE 10.7.9, out_pkts_dropped of a
// SecY in user space).
var Losses = []string{
	"in_pkts_invalid", "in_pkts_late", "in_pkts_no_sci", "in_pkts_not_using_sa", "in_pkts_not_valid",
	"in_pkts_overrun", "in_pkts_unknown_sci", "in_pkts_unused_sa", "out_pkts_dropped",
}

// TunnelLosses are the counters of an interface that say that a tunnel has lost
// packets, or had some that it could not open.
var TunnelLosses = []string{"rx_dropped", "rx_errors", "tx_dropped", "tx_errors"}

// find returns our key with an ID.
func (v *View) find(id string) *Key {
	for i := range v.Keys {
		if v.Keys[i].ID == id {
			return &v.Keys[i]
		}
	}
	return nil
}

func (v *View) byCKN(ckn keychain.CKN) *Key {
	for i := range v.Keys {
		if v.Keys[i].CKN == ckn {
			return &v.Keys[i]
		}
	}
	return nil
}

// supersedes tells whether traffic under ckn has moved to the key own: it is
// that key, or one that is preferred to it: one that is newer still, or of the
// same second, as another owner's may be, with a greater CKN.
func (v *View) supersedes(own *Key, ckn keychain.CKN) bool {
	if ckn == "" {
		return false
	}
	if ckn == own.CKN {
		return true
	}
	k := v.byCKN(ckn)
	return k != nil && !k.Fallback && (k.Start.After(own.Start) || k.Start.Equal(own.Start) && k.CKN > own.CKN)
}

// back tells whether a port carries traffic under an older CKN than own's.
func (v *View) back(own *Key) bool {
	return slices.ContainsFunc(v.Ports, func(p Port) bool {
		return p.Secured && p.Encoding != "" && !v.supersedes(own, p.Encoding)
	})
}

// idle is a port without a peer: it carries nothing that could be lost.
func (p *Port) idle() bool {
	for _, m := range p.Participants {
		if m.Live > 0 {
			return false
		}
	}
	return !p.Secured
}

func (p *Port) participant(ckn keychain.CKN) *Participant {
	for i := range p.Participants {
		if p.Participants[i].CKN == ckn {
			return &p.Participants[i]
		}
	}
	return nil
}

// reached is how far a port has come towards the key own.
func (p *Port) reached(v *View, own *Key) Phase {
	if p.Secured && v.supersedes(own, p.Encoding) {
		old := slices.ContainsFunc(p.SAs, func(ckn keychain.CKN) bool { return !v.supersedes(own, ckn) })
		switch {
		case !old: // MKA keeps them for as long as a peer encodes with one
			return Settled
		case p.PeersEncode:
			return Moved
		}
	}
	m := p.participant(own.CKN)
	if m == nil {
		return InKeychain
	}
	// All that are live where the traffic is must be live here.
	need := 1
	if c := p.participant(p.Encoding); c != nil {
		need = max(need, c.Live)
	}
	if m.Live >= need {
		return PeerLive
	}
	return ParticipantUp
}
