package course

import (
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// Phase is how far a rotation has come, or what else there is to tell.
type Phase string

// The phases in their order.
const (
	None          Phase = ""
	Claimed       Phase = "claimed"
	Written       Phase = "written"
	ReadBack      Phase = "read_back"
	InKeychain    Phase = "in_keychain"
	ParticipantUp Phase = "participant_up"
	PeerLive      Phase = "peer_live"
	Moved         Phase = "moved"
	Settled       Phase = "settled"
	Retired       Phase = "retired"
)

// What else an Event can tell.
const (
	Done      Phase = "done"
	Failed    Phase = "failed"
	Resumed   Phase = "resumed"
	Waiting   Phase = "waiting"
	Retrying  Phase = "retrying"
	Unsecured Phase = "unsecured"
	Secured   Phase = "secured"
)

var order = []Phase{None, Claimed, Written, ReadBack, InKeychain, ParticipantUp, PeerLive, Moved, Settled, Retired}

// before tells whether p comes before q.
func (p Phase) before(q Phase) bool { return slices.Index(order, p) < slices.Index(order, q) }

// Event is one line of the timeline; the package comment has its fields.
type Event struct {
	Time      time.Time         `json:"time"`
	ElapsedMS int64             `json:"elapsed_ms"`
	Keychain  string            `json:"keychain"`
	Port      string            `json:"port,omitempty"`
	Tunnel    string            `json:"tunnel,omitempty"`
	Phase     Phase             `json:"phase"`
	CKN       keychain.CKN      `json:"ckn,omitempty"`
	PSK       string            `json:"psk,omitempty"`
	Pair      string            `json:"pair,omitempty"`
	Detail    string            `json:"detail,omitempty"`
	Lost      map[string]uint64 `json:"lost,omitempty"`
	Error     string            `json:"error,omitempty"`
}

// Last tells whether the event is the last of a timeline.
func (e *Event) Last() bool { return e.Phase == Done || e.Phase == Failed }
