// Package mkpdu is the wire codec of the MKA PDU (802.1X-2020 11.11): Parse
// and Append. It knows layout and lengths alone: what a PDU means, and
// whether its ICV is right, is the caller's to say.
package mkpdu

import (
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Values of the frame and the Basic Parameter Set.
const (
	EtherType    = 0x888e     // EAPOL
	EAPOLVersion = 3          // 802.1X-2010 and later
	EAPOLType    = 5          // EAPOL-MKA
	Version      = 3          // the MKA version of 802.1X-2020
	Agility      = 0x0080c201 // the algorithms of 802.1X-2010 and later
	ICVLen       = 16         // octets
	MaxCKN       = 32         // octets
	MaxLen       = 1514       // octets of a frame on an MTU of 1500, ICV included
	MaxSetBody   = 1<<12 - 1  // octets of a parameter set's body
)

// GroupAddress is the PAE group address, 01-80-C2-00-00-03: where MKPDUs go
// unless configured otherwise.
var GroupAddress = [6]byte{0x01, 0x80, 0xc2, 0x00, 0x00, 0x03}

// PDU is one MKPDU with its Ethernet and EAPOL headers. Slices of a parsed
// PDU point into the frame and are good for as long as it is left alone.
type PDU struct {
	Dst, Src     [6]byte
	EtherType    uint16
	EAPOLVersion uint8

	// The Basic Parameter Set (11.11.1).
	Version    uint8 // as sent; above 3 the rest is decoded as version 3
	Priority   uint8 // key server priority, lowest wins
	KeyServer  bool
	Desired    bool  // MACsec Desired
	Capability uint8 // MACsec Capability, 0 to 3
	SCI        sa.SCI
	MI         sa.MI
	MN         uint32
	Agility    uint32
	CKN        []byte // 1 to 32 octets

	// Live Peer List (type 1) and Potential Peer List (type 2).
	Live, Potential       PeerList
	HasLive, HasPotential bool
	// KeyServerSSCI is octet 2 of the Live Peer List: the low octet of the
	// key server's SSCI, 0 where it says nothing.
	KeyServerSSCI uint8

	Use    SAKUse // MACsec SAK Use (type 3)
	HasUse bool

	Distributed    DistributedSAK // Distributed SAK (type 4)
	HasDistributed bool

	XPN    XPN // XPN (type 8)
	HasXPN bool

	// The bodies of the Distributed CAK (type 5), KMD (type 6) and
	// Announcement (type 7) sets as they are; nil if absent.
	DistributedCAK, KMD, Announcement []byte

	// ICVIndicator tells whether an ICV Indicator (type 255) stands before
	// the ICV.
	ICVIndicator bool

	// Unknown counts the sets that were skipped. Append ignores it and the
	// two below.
	Unknown int
	// Signed is what the ICV covers: from the destination address to before
	// the ICV.
	Signed []byte
	// ICV is the 16 octets after Signed.
	ICV []byte
}

// SAKUse is the MACsec SAK Use set: which keys the sender uses.
type SAKUse struct {
	Latest, Old KeyUse
	// PlainTx and PlainRx: the sender transmits, accepts unprotected frames.
	PlainTx, PlainRx bool
	DelayProtect     bool
	// Empty is the form without a body, where Latest and Old have no Key and
	// no LowestPN: the sender uses no key.
	Empty bool
}

// KeyUse is one of the two keys of a SAKUse.
type KeyUse struct {
	Key      sa.KeyID // zero if there is none
	AN       uint8    // 0 to 3
	Tx, Rx   bool     // in use for transmit, for receive
	LowestPN uint32   // lowest acceptable PN; with XPN its low 32 bits
}

// DistributedSAK is the Distributed SAK set.
type DistributedSAK struct {
	AN uint8 // 0 to 3
	// ConfidentialityOffset is the wire's code: 0 no confidentiality, 1 to 3
	// an offset of 0, 30, 50 octets.
	ConfidentialityOffset uint8
	KN                    uint32
	Suite                 uint64 // cipher suite identifier; see sa.SuiteFromID
	Wrapped               []byte // the SAK, wrapped: 8 octets more than it has
	// PlainText is the form without a body: use no MACsec. KN, Suite and
	// Wrapped are not in it.
	PlainText bool
}

// XPN is the XPN set.
type XPN struct {
	Suspension uint8 // MKA suspension time in seconds
	// LatestHigh and OldHigh are the high 32 bits of the lowest acceptable
	// PNs in SAKUse.
	LatestHigh, OldHigh uint32
}
