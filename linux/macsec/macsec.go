// Package macsec is typed access to the kernel's MACsec (drivers/net/macsec.c,
// Linux 5.7 and later): the generic netlink family "macsec" for secure
// channels, associations and statistics, and rtnetlink's IFLA_MACSEC_* for the
// devices. Encoding and decoding are pure functions; Conn does the IO.
//
// What the kernel's interface makes easy to get wrong is not offered: a PN is
// never sent in an update, since it would rewind the counter and reuse nonces;
// a delete deactivates first, since the kernel refuses to delete an active SA;
// a device is changed by RTM_NEWLINK, since RTM_SETLINK is accepted and does
// nothing. Names are those of IEEE 802.1AE-2018.
package macsec

import (
	"encoding/hex"
	"fmt"
)

// SCI is a Secure Channel Identifier: MAC address, then port big-endian.
type SCI [8]byte

func (s SCI) String() string { return hex.EncodeToString(s[:]) }

// CipherSuite is a cipher suite identifier (802.1AE-2018 table 14-1), as a
// number.
type CipherSuite uint64

// The suites that the kernel knows.
const (
	GCMAES128    CipherSuite = 0x0080c20001000001
	GCMAES256    CipherSuite = 0x0080c20001000002
	GCMAESXPN128 CipherSuite = 0x0080c20001000003
	GCMAESXPN256 CipherSuite = 0x0080c20001000004

	// gcmAES128Misprint is what the kernel reports for GCMAES128: the first
	// edition's misprint. Decoding turns it into GCMAES128.
	gcmAES128Misprint CipherSuite = 0x0080020001000001
)

// XPN tells whether the suite has 64-bit packet numbers, SSCI and salt.
func (c CipherSuite) XPN() bool { return c == GCMAESXPN128 || c == GCMAESXPN256 }

func (c CipherSuite) String() string {
	switch c {
	case GCMAES128:
		return "gcm-aes-128"
	case GCMAES256:
		return "gcm-aes-256"
	case GCMAESXPN128:
		return "gcm-aes-xpn-128"
	case GCMAESXPN256:
		return "gcm-aes-xpn-256"
	}
	return fmt.Sprintf("cipher suite %016x", uint64(c))
}

// Validation is validateFrames (802.1AE-2018 10.7.8).
type Validation uint8

const (
	// ValidateDisabled delivers untagged frames and, without verifying them,
	// frames that are integrity protected only.
	ValidateDisabled Validation = 0
	// ValidateCheck verifies and counts, and delivers all the same what is not
	// encrypted, untagged frames included.
	ValidateCheck Validation = 1
	// ValidateStrict delivers nothing but valid frames.
	ValidateStrict Validation = 2
)

func (v Validation) String() string {
	switch v {
	case ValidateDisabled:
		return "disabled"
	case ValidateCheck:
		return "check"
	case ValidateStrict:
		return "strict"
	}
	return fmt.Sprintf("validation %d", uint8(v))
}

// Offload says which hardware carries the SecY out.
type Offload uint8

const (
	OffloadOff Offload = 0
	OffloadPHY Offload = 1
	OffloadMAC Offload = 2
)

// NumAN is the number of association numbers of a secure channel.
const NumAN = 4

// SecY is a MACsec device as the kernel reports it, with all that is in it.
type SecY struct {
	Ifindex     int
	SCI         SCI
	CipherSuite CipherSuite
	ICVLen      uint8
	// EncodingSA is the AN that the SecTAG carries. Whether an active SA is
	// there is for TxSA to say.
	EncodingSA uint8
	// Operational is MAC_Operational: false after a frame met no active
	// encoding SA, or a PN wrapped.
	Operational   bool
	Protect       bool
	Encrypt       bool
	IncludeSCI    bool
	ES            bool
	SCB           bool
	ReplayProtect bool
	ReplayWindow  uint32 // packets; 0 if ReplayProtect is false
	Validate      Validation
	Offload       Offload
	TxSA          []TxSA // by AN
	RxSC          []RxSC // newest first
	TxSCStats     TxSCStats
	Stats         SecYStats
}

// TxSA is a transmit SA. PN is the next to be sent; 0 when it has wrapped.
type TxSA struct {
	AN     uint8
	Active bool
	PN     uint64
	KeyID  [16]byte
	SSCI   uint32 // XPN only
	Stats  SAStats
}

// RxSC is a receive secure channel.
type RxSC struct {
	SCI    SCI
	Active bool
	SA     []RxSA // by AN
	Stats  RxSCStats
}

// RxSA is a receive SA. PN is the next expected: one more than the highest
// received.
type RxSA struct {
	AN     uint8
	Active bool
	PN     uint64
	KeyID  [16]byte
	SSCI   uint32 // XPN only
	Stats  SAStats
}

// NewSA is an SA to be added.
type NewSA struct {
	AN     uint8
	Active bool
	// PN is the next to be sent, or the lowest acceptable: 1 or more, 32 bits
	// without XPN. With XPN the kernel refuses one whose low 32 bits are 0.
	PN    uint64
	KeyID [16]byte
	// Key is the SAK, 16 or 32 octets as the cipher suite says. It is read,
	// not kept; the copies made of it on the way are zeroed.
	Key []byte
	// XPN says that the device's suite has extended packet numbering. SSCI
	// and Salt go with it alone. A PN of the wrong length is EINVAL.
	XPN  bool
	SSCI uint32
	Salt [12]byte
}
