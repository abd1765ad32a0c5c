// Package account states what passed a port under each key: from when to when,
// how many frames and octets, and how much in clear meanwhile. A Ledger keeps
// it, key by key. It is pure: the counters are read elsewhere (package bpf), and
// written elsewhere (package clerk).
package account

import (
	"fmt"
	"time"
)

// The directions: what the port received, and what it sent.
const (
	Ingress = "ingress"
	Egress  = "egress"
)

// Account is of one key in one direction. In JSON it is in the status and in
// the state directory: fields are added, never changed.
//
// It counts MACsec frames by SCI and AN, at the port. What a port received under
// a key it counts before the SecY has looked at the ICV: the SecY's own counters
// say what was valid.
type Account struct {
	Direction string    `json:"direction"`     // ingress or egress
	SCI       string    `json:"sci"`           // of the sender, 16 hex digits
	AN        uint8     `json:"an"`            // association number
	Key       string    `json:"key"`           // key identifier: MI/KN
	CKN       string    `json:"ckn,omitempty"` // under which the SAK was agreed on; empty: not known
	From      time.Time `json:"from"`          // before the SA was installed
	// To is when the SA had gone, or was found to be gone; null while it is
	// there.
	To *time.Time `json:"to"`
	// Cut is true where nobody saw the end: the machine or the filter ended
	// first. To is then when frames were last counted. It is true as well where the
	// key went on, but the port was found open: To is when, and another account of
	// the key begins then.
	Cut bool `json:"cut,omitempty"`
	// OpenSince is from when on frames may have passed that nobody counted, in
	// clear too, for the reason Open: the filter was found missing, or there was no
	// guard. null: at no time.
	OpenSince *time.Time `json:"open_since,omitempty"`
	Open      string     `json:"open,omitempty"`
	Packets   uint64     `json:"packets"`
	Octets    uint64     `json:"octets"` // of whole frames, without FCS
	LastSeen  *time.Time `json:"last_seen,omitempty"`
	// PNHigh is the highest PN, as SecTAGs have it: with XPN the lower 32 bits.
	// On ingress it and Gaps are not to be relied on: who can send to the port may
	// write any PN.
	PNHigh uint32 `json:"pn_high"`
	// Gaps is an estimate of frames that are missing: PNs that were spanned
	// and not seen.
	Gaps uint64 `json:"gaps"`
	// What passed in clear in the same direction and time, what was let through
	// in clear because it is allowed (EAPOL aside), and what was dropped.
	ClearPackets   uint64 `json:"clear_packets"`
	ClearOctets    uint64 `json:"clear_octets"`
	AllowedPackets uint64 `json:"allowed_packets"`
	AllowedOctets  uint64 `json:"allowed_octets"`
	DroppedPackets uint64 `json:"dropped_packets"`
	DroppedOctets  uint64 `json:"dropped_octets"`
}

// Count is frames and their octets, without FCS.
type Count struct {
	Packets uint64 `json:"packets"`
	Octets  uint64 `json:"octets"`
}

// id tells accounts apart: a key has one in each direction and SC, and one more
// if the filter that counted was lost.
type id struct {
	direction, sci, key string
	an                  uint8
	from                int64
}

func (a *Account) id() id { return id{a.Direction, a.SCI, a.Key, a.AN, a.From.UnixNano()} }

// State is the account in one sentence. protected is what its frames are:
// encrypted, or with integrity alone.
func (a *Account) State(protected string) string {
	way, to := "left", "now"
	if a.Direction == Ingress {
		way = "came in"
	}
	if a.To != nil {
		to = a.To.UTC().Format(time.RFC3339)
	}
	s := fmt.Sprintf("from %s to %s, %d octets (%d frames) %s %s under key %s (an %d), and %d in clear",
		a.From.UTC().Format(time.RFC3339), to, a.Octets, a.Packets, way, protected, a.Key, a.AN, a.ClearOctets)
	if a.AllowedOctets > 0 {
		s += fmt.Sprintf(" but %d of allowed protocols", a.AllowedOctets)
	}
	if a.OpenSince != nil {
		s += fmt.Sprintf("; open since %s: %s", a.OpenSince.UTC().Format(time.RFC3339), a.Open)
	}
	return s
}
