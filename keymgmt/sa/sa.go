// Package sa has the domain's types of 802.1AE secure channels and
// associations: what MKA agrees on and a SecY carries out. It is a leaf:
// values only, no IO.
package sa

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/linkseal/linkseal/keymgmt/secret"
)

// SCI is a Secure Channel Identifier (802.1AE 7.1.2): a MAC address of six
// octets and a port number of two, big-endian.
type SCI [8]byte

// NewSCI joins a MAC address and a port number.
func NewSCI(mac [6]byte, port uint16) (s SCI) {
	copy(s[:], mac[:])
	binary.BigEndian.PutUint16(s[6:], port)
	return s
}

// MAC is the address part.
func (s SCI) MAC() (m [6]byte) { copy(m[:], s[:]); return m }

// Port is the port number.
func (s SCI) Port() uint16 { return binary.BigEndian.Uint16(s[6:]) }

// Less orders SCIs as unsigned big-endian numbers.
func (s SCI) Less(o SCI) bool {
	return binary.BigEndian.Uint64(s[:]) < binary.BigEndian.Uint64(o[:])
}

func (s SCI) String() string { return hex.EncodeToString(s[:]) }

// ParseSCI reads 16 hex digits, colons and dashes allowed between them.
func ParseSCI(text string) (s SCI, err error) {
	b, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "").Replace(text))
	if err != nil || len(b) != len(s) {
		return s, fmt.Errorf("SCI %q: not 16 hex digits", text)
	}
	copy(s[:], b)
	return s, nil
}

// MI is a Member Identifier (802.1X 9.4.2): 12 random octets.
type MI [12]byte

func (m MI) String() string { return hex.EncodeToString(m[:]) }

// KeyID is a Key Identifier (802.1X 9.8): the key server's MI and its Key
// Number. It names one SAK for ever.
type KeyID struct {
	MI MI
	KN uint32
}

// Octets is MI then KN big-endian: the form that linkseal gives the kernel.
func (k KeyID) Octets() (b [16]byte) {
	copy(b[:], k.MI[:])
	binary.BigEndian.PutUint32(b[12:], k.KN)
	return b
}

// KeyIDFromOctets is the inverse of Octets.
func KeyIDFromOctets(b [16]byte) (k KeyID) {
	copy(k.MI[:], b[:])
	k.KN = binary.BigEndian.Uint32(b[12:])
	return k
}

// IsZero tells the absent key identifier.
func (k KeyID) IsZero() bool { return k == KeyID{} }

func (k KeyID) String() string { return fmt.Sprintf("%s/%d", k.MI, k.KN) }

// Suite is a cipher suite of 802.1AE-2018 clause 14.
type Suite uint8

// The suites, numbered as the last octet of their identifiers
// 00-80-C2-00-01-00-00-0N.
const (
	GCMAES128    Suite = 1
	GCMAES256    Suite = 2
	GCMAESXPN128 Suite = 3
	GCMAESXPN256 Suite = 4
)

// Suites lists all of them.
func Suites() []Suite { return []Suite{GCMAES128, GCMAES256, GCMAESXPN128, GCMAESXPN256} }

var suiteNames = [...]string{GCMAES128: "gcm-aes-128", GCMAES256: "gcm-aes-256", GCMAESXPN128: "gcm-aes-xpn-128", GCMAESXPN256: "gcm-aes-xpn-256"}

func (s Suite) String() string {
	if s < GCMAES128 || s > GCMAESXPN256 {
		return fmt.Sprintf("cipher suite %d", uint8(s))
	}
	return suiteNames[s]
}

// ParseSuite reads a name as in the configuration.
func ParseSuite(name string) (Suite, bool) {
	for _, s := range Suites() {
		if s.String() == name {
			return s, true
		}
	}
	return 0, false
}

// XPN tells whether packet numbers have 64 bits.
func (s Suite) XPN() bool { return s == GCMAESXPN128 || s == GCMAESXPN256 }

// KeyLen is the SAK's length in octets.
func (s Suite) KeyLen() int {
	if s == GCMAES256 || s == GCMAESXPN256 {
		return 32
	}
	return 16
}

// ID is the identifier as a number; big-endian it is the wire's form.
func (s Suite) ID() uint64 { return 0x0080C20001000000 | uint64(s) }

// SuiteFromID reads an identifier, hostap's misprint of GCM-AES-128
// (00-80-02-...) included.
func SuiteFromID(id uint64) (Suite, bool) {
	if id == 0x0080020001000001 {
		return GCMAES128, true
	}
	s := Suite(id & 0xff)
	return s, s >= GCMAES128 && s <= GCMAESXPN256 && s.ID() == id
}

// SA is a secure association with its key. AN is 0 to 3. PN is the next
// packet number to transmit, or the lowest acceptable on receive; 32 bits
// without XPN. SSCI and Salt are XPN's alone.
type SA struct {
	AN   uint8
	Key  KeyID
	SAK  *secret.Key
	PN   uint64
	SSCI uint32
	Salt [12]byte
}

// ChangeKind says what a Change does.
type ChangeKind uint8

// The changes that a KaY asks of a SecY (802.1AE 10.7). Every one is
// idempotent: to install what is there under the same key identifier is
// success and changes nothing, and so is to delete what is absent.
const (
	// InstallRx installs SA for receive from SCI, making the SC if absent.
	// Another key identifier on that AN is an error.
	InstallRx ChangeKind = iota + 1
	// InstallTx installs SA for transmit; the encoding SA stays as it is.
	InstallTx
	// Encode makes SA.AN, already installed under SA.Key, the encoding SA.
	Encode
	// DeleteRx deletes SA.AN of SCI if it has key identifier SA.Key.
	DeleteRx
	// DeleteTx deletes SA.AN if it has key identifier SA.Key. If it was
	// encoding, nothing is transmitted from then on.
	DeleteTx
	// DeleteSC deletes the receive SC of SCI and its SAs.
	DeleteSC
	// RaiseLowestPN sets the lowest acceptable PN of SCI's SA.AN to SA.PN,
	// never lower than it is (delay protection).
	RaiseLowestPN
)

var changeNames = [...]string{InstallRx: "install rx", InstallTx: "install tx", Encode: "encode", DeleteRx: "delete rx", DeleteTx: "delete tx", DeleteSC: "delete sc", RaiseLowestPN: "raise lowest pn"}

func (k ChangeKind) String() string {
	if k < InstallRx || k > RaiseLowestPN {
		return fmt.Sprintf("change %d", uint8(k))
	}
	return changeNames[k]
}

// Change is one step of a SecY's SA table.
type Change struct {
	Kind ChangeKind
	SCI  SCI
	SA   SA
}

func (c Change) String() string {
	switch c.Kind {
	case InstallRx, DeleteRx, RaiseLowestPN:
		return fmt.Sprintf("%s sci %s an %d key %s", c.Kind, c.SCI, c.SA.AN, c.SA.Key)
	case DeleteSC:
		return fmt.Sprintf("%s sci %s", c.Kind, c.SCI)
	}
	return fmt.Sprintf("%s an %d key %s", c.Kind, c.SA.AN, c.SA.Key)
}

// TxState is a transmit SA as a SecY reports it. PN is the next to be sent.
type TxState struct {
	AN  uint8
	Key KeyID
	PN  uint64
}

// RxState is a receive SA as a SecY reports it. PN is the next expected: one
// more than the highest received.
type RxState struct {
	SCI SCI
	AN  uint8
	Key KeyID
	PN  uint64
}

// NoAN is no association number.
const NoAN uint8 = 0xff

// Table is a SecY's SAs at one moment. Encoding is the encoding SA's AN;
// nothing is transmitted if Tx has no such AN. It is NoAN where that AN has an
// SA which does not transmit: one that is installed and was never made the
// encoding SA.
type Table struct {
	Encoding uint8
	Tx       []TxState
	Rx       []RxState
}

// ControlledPort is the state of a SecY's Controlled Port (802.1AE 10.7.4).
type ControlledPort uint8

const (
	// Unsecured: no traffic passes. The interface stays up, operstate
	// DORMANT, so that addresses and routes stay.
	Unsecured ControlledPort = iota
	// Secured: protected traffic passes.
	Secured
	// Clear: traffic passes unprotected; only ever where secure: should.
	Clear
)

func (c ControlledPort) String() string {
	switch c {
	case Secured:
		return "secured"
	case Clear:
		return "clear"
	}
	return "unsecured"
}
