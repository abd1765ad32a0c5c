package mka

import (
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
)

// seldom is the least time between two reports of a kind that a hostile wire
// can cause.
const seldom = time.Minute

// Counters count MKPDUs and SAKs since the Entity was made. Everything that
// was received and not refused by one of the kinds was accepted.
type Counters struct {
	Received, Sent  uint64
	Malformed       [mkpdu.Errors]uint64 // by mkpdu.Error
	UnknownCKN      uint64
	ICVBad          uint64
	Replayed        uint64
	OwnMI           uint64
	DuplicateSCI    uint64
	PeerListFull    uint64
	SAKsDistributed uint64
	SAKsReceived    uint64
	SAKsRefused     uint64
	ChangesFailed   uint64

	LastUnknownCKN  []byte
	LastUnknownFrom [6]byte
}

func (e *Entity) tell(_ time.Duration, out *[]Action, r Report) {
	*out = append(*out, Action{Kind: Tell, Report: r})
}

// tellSeldom is tell, at most once a minute for each kind.
func (e *Entity) tellSeldom(now time.Duration, out *[]Action, kind ReportKind, r Report) {
	if now-e.told[kind] < seldom {
		return
	}
	e.told[kind] = now
	r.Kind = kind
	e.tell(now, out, r)
}
