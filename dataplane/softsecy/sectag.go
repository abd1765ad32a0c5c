package softsecy

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// EtherType is the MACsec EtherType (802.1AE 9.8), the first two octets of
// every SecTAG.
const EtherType = 0x88E5

// TCI is the TAG Control Information (802.1AE 9.5) in the six high bits of
// its octet; the two low bits, the AN, are not in it.
type TCI uint8

// The bits of the TCI, version excluded: it is 0 in every valid SecTAG.
const (
	// ES: end station. The SCI is SA and port 00-01 and is not in the tag.
	ES TCI = 0x40
	// SC: the SCI is in the tag.
	SC TCI = 0x20
	// SCB: single copy broadcast (EPON).
	SCB TCI = 0x10
	// E: the user data is encrypted.
	E TCI = 0x08
	// C: the secure data differs from the user data. The GCM-AES suites set
	// it exactly where they set E.
	C TCI = 0x04

	version TCI = 0x80
)

const (
	shortTag = 8  // a SecTAG without SCI
	longTag  = 16 // with it
	// minSecureData is where SL stops: it gives the length of shorter secure
	// data and is 0 from here on (802.1AE 9.7).
	minSecureData = 48
)

// Why a SecTAG is invalid; every error of ParseSecTAG is one of these.
var (
	ErrTagShort    = errors.New("SecTAG is cut short")
	ErrNotMACsec   = errors.New("EtherType is not 0x88E5")
	ErrVersion     = errors.New("SecTAG version is not 0")
	ErrSCIConflict = errors.New("SecTAG has SC together with ES or SCB")
	ErrEncoding    = errors.New("SecTAG has C without E, which no GCM-AES suite sends")
	ErrForKaY      = errors.New("SecTAG has E without C, which is the KaY's and not the SecY's")
	ErrShortLength = errors.New("SecTAG short length is over 47")
	ErrZeroPN      = errors.New("SecTAG packet number is 0, which only an XPN suite sends")
)

// SecTAG is a parsed MACsec tag (802.1AE 9.3).
type SecTAG struct {
	TCI TCI
	// AN is 0 to 3.
	AN uint8
	// SL is the secure data's length if that is under 48 octets, else 0.
	SL uint8
	// PN is the packet number, or its low 32 bits under an XPN suite.
	PN uint32
	// SCI is the tag's own; it means nothing unless the TCI has SC.
	SCI sa.SCI
}

// Has tells whether all bits of want are set.
func (t TCI) Has(want TCI) bool { return t&want == want }

// Encrypted tells confidentiality from integrity only.
func (t *SecTAG) Encrypted() bool { return t.TCI.Has(E | C) }

// Len is the tag's length in octets, EtherType included.
func (t *SecTAG) Len() int {
	if t.TCI.Has(SC) {
		return longTag
	}
	return shortTag
}

// ImpliedSCI is the SCI that the frame itself tells: the tag's own with SC,
// else mac and port 00-01 with ES, mac and port 00-00 with SCB (802.1AE 9.9).
// ok is false with none of them: then the SCI is that of the only peer.
func (t *SecTAG) ImpliedSCI(mac [6]byte) (sci sa.SCI, ok bool) {
	switch {
	case t.TCI.Has(SC):
		return t.SCI, true
	case t.TCI.Has(SCB):
		return sa.NewSCI(mac, 0), true
	case t.TCI.Has(ES):
		return sa.NewSCI(mac, 1), true
	}
	return sci, false
}

// ParseSecTAG reads the SecTAG at the start of b, EtherType included, and
// returns its length in octets, 8 or 16. It checks what 802.1AE 9.12 a) to e)
// asks of a tag alone. A packet number of 0 passes: see Key.Open.
func ParseSecTAG(b []byte) (t SecTAG, n int, err error) {
	if len(b) < shortTag {
		return t, 0, ErrTagShort
	}
	if binary.BigEndian.Uint16(b) != EtherType {
		return t, 0, ErrNotMACsec
	}
	t.TCI, t.AN, t.SL = TCI(b[2]&^3), b[2]&3, b[3]
	t.PN = binary.BigEndian.Uint32(b[4:])
	if err := tagFault(t.TCI, t.SL); err != nil {
		return t, 0, err
	}
	if t.TCI.Has(SC) {
		if len(b) < longTag {
			return t, 0, ErrTagShort
		}
		copy(t.SCI[:], b[8:longTag])
	}
	return t, t.Len(), nil
}

// tagFault is what is wrong with a TCI and a short length: 802.1AE 9.12 a) to
// e), nil if nothing is.
func tagFault(t TCI, sl uint8) error {
	switch {
	case t.Has(version):
		return ErrVersion
	case t.Has(SC) && t&(ES|SCB) != 0:
		return ErrSCIConflict
	case t.Has(C) && !t.Has(E):
		return ErrEncoding
	case t.Has(E) && !t.Has(C):
		return ErrForKaY
	case sl >= minSecureData:
		return ErrShortLength
	}
	return nil
}

// Append appends the tag's 8 or 16 octets to b.
func (t *SecTAG) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, EtherType)
	b = append(b, byte(t.TCI)|t.AN&3, t.SL)
	b = binary.BigEndian.AppendUint32(b, t.PN)
	if t.TCI.Has(SC) {
		b = append(b, t.SCI[:]...)
	}
	return b
}

func (t TCI) String() string {
	var s []byte
	for _, f := range [...]struct {
		bit  TCI
		name string
	}{{version, "V"}, {ES, "ES"}, {SC, "SC"}, {SCB, "SCB"}, {E, "E"}, {C, "C"}} {
		if t.Has(f.bit) {
			if len(s) > 0 {
				s = append(s, ',')
			}
			s = append(s, f.name...)
		}
	}
	if len(s) == 0 {
		return "none"
	}
	return string(s)
}

func (t *SecTAG) String() string {
	return fmt.Sprintf("an %d pn %d tci %s sl %d", t.AN, t.PN, t.TCI, t.SL)
}
