package mka

import (
	"bytes"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// State is a copy of what an Entity knows, for status.
type State struct {
	Secured      bool
	Encoding     int // AN, or -1
	Participants []ParticipantState
	SAs          []SAState
	Counters     Counters
}

// ParticipantState is one CA. Principal is the one whose SAK encodes.
type ParticipantState struct {
	CKN       []byte
	MI        sa.MI
	MN        uint32
	Principal bool
	Elected   bool   // a key server is elected
	Server    sa.SCI // which
	KeyServer bool   // it is us
	Leaving   bool   // out of the keychain, kept while it carries traffic
	Pending   bool   // a SAK is due and not out yet
	Peers     []PeerState
	// ICVBad counts MKPDUs under this CKN with a bad ICV; the last came from
	// ICVBadFrom at ICVBadAt.
	ICVBad     uint64
	ICVBadAt   time.Duration
	ICVBadFrom [6]byte
	// Refused is why the last Distributed SAK was refused, at RefusedAt.
	Refused   string
	RefusedAt time.Duration
}

// PeerState is one member of a CA.
type PeerState struct {
	SCI       sa.SCI
	MI        sa.MI
	MN        uint32
	Live      bool
	Priority  uint8
	KeyServer bool
	ListsUs   bool
	Version   uint8
	Heard     time.Duration
	// ICVBad counts MKPDUs under its MI with a bad ICV: somebody's copies.
	ICVBad uint64
	// Suspended: it has suspended MKA, and is kept live although it is silent.
	Suspended bool
}

// SAState is one AN.
type SAState struct {
	AN        uint8
	Key       sa.KeyID
	CKN       []byte
	Tx        bool // installed
	Encoding  bool
	Receiving bool // announced
	Pending   bool
	Adopted   bool
	// PeersTransmit tells that every live peer of its CA announces transmit.
	PeersTransmit bool
	Since         time.Duration
	Rx            []sa.SCI
}

// State copies the Entity's.
func (e *Entity) State() State {
	v := State{Secured: e.secured, Encoding: e.encoding, Counters: e.counters}
	v.Counters.LastUnknownCKN = bytes.Clone(e.counters.LastUnknownCKN)
	carrying := e.carrying()
	for _, p := range e.participants {
		ps := ParticipantState{
			CKN: bytes.Clone(p.ckn), MI: p.mi, MN: p.mn, Principal: p == carrying, Elected: p.elected, Server: p.keyServer,
			KeyServer: p.isServer, Leaving: p.leaving, Pending: p.want,
			ICVBad: p.icvBad, ICVBadAt: p.icvBadAt, ICVBadFrom: p.icvBadFrom, Refused: p.refused, RefusedAt: p.refusedAt,
		}
		for i := range p.peers {
			q := &p.peers[i]
			ps.Peers = append(ps.Peers, PeerState{SCI: q.sci, MI: q.mi, MN: q.mn, Live: q.live, Priority: q.priority, KeyServer: q.keyServer, ListsUs: q.listsUs, Version: q.version, Heard: q.heard, ICVBad: q.icvBad, Suspended: q.live && q.suspended > e.now})
		}
		v.Participants = append(v.Participants, ps)
	}
	for an := range e.table {
		s := &e.table[an]
		if !s.used {
			continue
		}
		as := SAState{AN: uint8(an), Key: s.key, CKN: bytes.Clone(s.ckn()), Tx: s.tx, Encoding: an == e.encoding, Receiving: s.adopted || s.receiving() || s.encSince > 0, Pending: e.pending(an), Adopted: s.adopted, Since: s.since}
		as.PeersTransmit = s.owner != nil && s.owner.liveCount() > 0 && s.owner.allTransmit(s.key)
		for i := range s.rx {
			as.Rx = append(as.Rx, s.rx[i].sci)
		}
		v.SAs = append(v.SAs, as)
	}
	return v
}
