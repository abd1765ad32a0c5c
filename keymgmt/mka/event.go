package mka

import (
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// EventKind says what happened.
type EventKind uint8

const (
	// Tick: the deadline came. Any event may be late; a Tick may be early.
	Tick EventKind = iota + 1
	// Received: Frame is an Ethernet frame with the port's EAPOL EtherType,
	// from DA on, without a VLAN tag. It is not kept.
	Received
	// KeysChanged: Keys is the set of CAKs that may be used from now on, the
	// preferred one first. A CAK that is not in it and that carries traffic
	// stays until another carries it, unless it is in Cut. The keys are
	// cloned.
	KeysChanged
	// ChangeDone: the Change that Step asked for last was carried out, or
	// failed with Err. It is the next event after a Change.
	ChangeDone
	// PacketNumbers: Table is the SecY's state now.
	PacketNumbers
	// Adopt: Table is what the SecY had when the process started, and Saved
	// what an earlier Entity asked to be saved. It comes once, before
	// KeysChanged.
	Adopt
	// LinkUp: the port's carrier came back: hellos go out at once.
	LinkUp
	// Suspend: MKA is suspended (802.1X-2020 9.18) at the peers that support
	// it; the SecY keeps its SAs, and nothing changes any more. It ends with a
	// Closed, within a second, and is a Close then.
	Suspend
	// Close: nothing comes out of the Entity from now on. The SecY keeps
	// its SAs. Keys are zeroed.
	Close
)

// Event is one thing that happened; the fields belong to the kinds above.
type Event struct {
	Kind  EventKind
	Frame []byte
	Keys  []Key
	Cut   [][]byte
	Err   error
	Table *sa.Table
	Saved Saved
}

// Key is a CAK under its name. CKN has 1 to 32 octets, CAK 16 or 32.
type Key struct {
	CKN []byte
	CAK *secret.Key
}

// Saved is what must survive the process: not secret, but without it a
// restart cannot tell which CKN an SA of the SecY belongs to, nor which key
// identifiers have been used up.
type Saved struct {
	SAs  []SavedSA
	Used []sa.KeyID
}

// SavedSA names the CKN under which an installed SAK was distributed.
type SavedSA struct {
	Key sa.KeyID
	AN  uint8
	CKN []byte
}

// ActionKind says what is to be done.
type ActionKind uint8

const (
	// Send Frame on the port. It is valid until the next Step.
	Send ActionKind = iota + 1
	// Change is one change of the SecY, and the last action of a Step. Its
	// result is the next event; before that of an InstallRx or InstallTx,
	// which may have to wait for what Save began, others may come.
	Change
	// SetPort sets the SecY's Controlled Port to Secured or Unsecured.
	SetPort
	// Save: Saved replaces what was saved before.
	Save
	// Tell: Report is for the log.
	Tell
	// Closed: a Suspend is over, and the Entity closed.
	Closed
)

// Action is one thing to do; the fields belong to the kinds above.
type Action struct {
	Kind   ActionKind
	Frame  []byte
	Change sa.Change
	Port   sa.ControlledPort
	Saved  Saved
	Report Report
}

// ReportKind names what a Report is about.
type ReportKind uint8

// The kinds of report. Those that a hostile wire can cause come at most once
// a minute each; the counters have every one.
const (
	PeerLive ReportKind = iota + 1
	PeerExpired
	PeerRestarted
	KeyServerChanged
	SAKDistributed
	SAKInstalled
	Encoding
	SAKRetired
	SAKAbandoned
	SAKRefused
	ChangeFailed
	PortSecured
	PortUnsecured
	CAKAdded
	CAKHeld
	CAKLeft
	Adopted
	TransmitTimeout
	PNExhaustion
	SuspendedBy
	Suspended
	Malformed
	UnknownCKN
	ICVBad
	Replayed
	OwnMI
	DuplicateSCI
	PeerListFull
	NoRandom
)

var reportNames = [...]string{
	PeerLive: "peer is live", PeerExpired: "peer expired", PeerRestarted: "peer has a new MI",
	KeyServerChanged: "key server elected", SAKDistributed: "SAK distributed", SAKInstalled: "SAK installed",
	Encoding: "encoding", SAKRetired: "SAK retired", SAKAbandoned: "SAK abandoned", SAKRefused: "SAK refused",
	ChangeFailed: "SecY change failed", PortSecured: "secured", PortUnsecured: "unsecured",
	CAKAdded: "participant created", CAKHeld: "CAK left the keychain but carries traffic; held until another carries it",
	CAKLeft: "participant deleted", Adopted: "SA adopted from the SecY", TransmitTimeout: "transmitting although a live peer has not announced receive",
	PNExhaustion: "packet numbers near their end", SuspendedBy: "peer suspends MKA", Suspended: "MKA suspended",
	Malformed: "malformed MKPDU", UnknownCKN: "MKPDU with an unknown CKN", ICVBad: "MKPDU with a bad ICV",
	Replayed: "MKPDU replayed", OwnMI: "MKPDU with our own MI", DuplicateSCI: "MKPDU from another member with our SCI",
	PeerListFull: "peer list full", NoRandom: "no randomness",
}

func (k ReportKind) String() string {
	if int(k) < len(reportNames) && reportNames[k] != "" {
		return reportNames[k]
	}
	return "report"
}

// Report is one thing worth a line in the log. CKN aliases the participant's.
// Cause is a constant text or an error's.
type Report struct {
	Kind  ReportKind
	CKN   []byte
	SCI   sa.SCI
	Key   sa.KeyID
	AN    uint8
	Cause string
}

// Never is the Deadline of an Entity that waits for nothing.
const Never = time.Duration(1<<63 - 1)
