package softsecy

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	addresses = 12 // DA and SA
	// ICVLen is the ICV's length in octets: the default of all four suites,
	// and the only one that is supported.
	ICVLen = 16
	// maxVLANs is how many VLAN tags in clear are looked through.
	maxVLANs = 4
	// minFrame is Ethernet's least frame length without FCS. Up to it, plus
	// the VLAN tags in clear, a MAC may have padded.
	minFrame = 60
)

// ErrLength says that a frame's length is at odds with its SecTAG (802.1AE
// 9.12 f to i).
var ErrLength = errors.New("frame length does not fit the SecTAG")

// MPDU is a MACsec frame taken apart. Its slices are of the parsed frame.
type MPDU struct {
	DA, SA [6]byte
	// VLANs are the tags in clear between SA and SecTAG, 4 octets each. No
	// ICV covers them.
	VLANs  []byte
	SecTAG SecTAG
	// Secure is the secure data: the user data from its EtherType on,
	// encrypted or not.
	Secure []byte
	ICV    []byte

	frame []byte // DA to the end of the ICV, without padding
	tagAt int    // where the SecTAG starts in frame
}

// VLANsLen is the length of the VLAN tags in clear (C-tags, S-tags and the
// older 0x9100) that follow the MAC addresses of frame, at most four.
func VLANsLen(frame []byte) int {
	n := 0
	for ; n < maxVLANs*4 && len(frame) >= addresses+n+6; n += 4 {
		switch binary.BigEndian.Uint16(frame[addresses+n:]) {
		case 0x8100, 0x88A8, 0x9100:
		default:
			return n
		}
	}
	return n
}

// Parse takes frame apart: DA, SA, VLAN tags in clear, SecTAG, secure data,
// ICV; no FCS. m keeps slices of frame. On an error m holds what was read
// until then: the addresses and the tag if there are any. The error is one of
// ParseSecTAG's or wraps ErrLength.
func (m *MPDU) Parse(frame []byte) error {
	*m = MPDU{}
	if len(frame) < addresses+2 {
		return fmt.Errorf("%w: %d octets in all", ErrLength, len(frame))
	}
	copy(m.DA[:], frame)
	copy(m.SA[:], frame[6:])
	vlans := VLANsLen(frame)
	m.VLANs = frame[addresses : addresses+vlans]
	m.tagAt = addresses + vlans
	tag, n, err := ParseSecTAG(frame[m.tagAt:])
	m.SecTAG = tag
	if err != nil {
		return err
	}
	rest := frame[m.tagAt+n:]
	secure, ok := secureLen(tag.SL, len(rest), len(frame) <= minFrame+vlans)
	switch {
	case ok:
	case tag.SL == 0:
		return fmt.Errorf("%w: short length 0 promises at least %d octets of secure data and 16 of ICV, but %d octets follow the SecTAG", ErrLength, minSecureData, len(rest))
	case secure < int(tag.SL):
		return fmt.Errorf("%w: short length %d, but %d octets follow the SecTAG; %d are needed", ErrLength, tag.SL, len(rest), int(tag.SL)+ICVLen)
	default:
		return fmt.Errorf("%w: short length %d, but %d octets of secure data", ErrLength, tag.SL, secure)
	}
	m.Secure = rest[:secure:secure]
	m.ICV = rest[secure : secure+ICVLen : secure+ICVLen]
	m.frame = frame[:m.tagAt+n+secure+ICVLen]
	return nil
}

// secureLen is the length of the secure data, where after octets follow a
// SecTAG with short length sl (802.1AE 9.7, 9.12). SL exists so that a MAC's
// padding can be told from the ICV: padded says that the frame is no longer
// than padding makes one, a longer one is forged or cut. If the lengths are at
// odds, ok is false and n what is there without an ICV.
func secureLen(sl uint8, after int, padded bool) (n int, ok bool) {
	n = after - ICVLen
	switch {
	case sl == 0:
		return n, n >= minSecureData
	case n > int(sl) && padded:
		n = int(sl)
	}
	return n, n == int(sl)
}
