package macsec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// requestSize holds every request of this file, the longest key included, so
// that appending never moves a key.
const requestSize = 256

func newRequest(ifindex int) []byte {
	return appendU32(make([]byte, 0, requestSize), attrIfindex, uint32(ifindex))
}

func encodeRxSC(ifindex int, sci SCI, active *bool) []byte {
	return appendRxSC(newRequest(ifindex), sci, active)
}

func appendRxSC(b []byte, sci SCI, active *bool) []byte {
	return appendNested(b, attrRxSCConfig, func(b []byte) []byte {
		b = appendAttr(b, rxscSCI, sci[:]...)
		if active != nil {
			b = appendBool(b, rxscActive, *active)
		}
		return b
	})
}

// encodeAddSA is ADD_TXSA, or with sci ADD_RXSA. It has the key in it.
func encodeAddSA(ifindex int, sci *SCI, sa *NewSA) []byte {
	b := newRequest(ifindex)
	if sci != nil {
		b = appendRxSC(b, *sci, nil)
	}
	return appendNested(b, attrSAConfig, func(b []byte) []byte {
		b = appendU8(b, saAN, sa.AN)
		b = appendBool(b, saActive, sa.Active)
		if sa.XPN {
			b = appendU64(b, saPN, sa.PN)
		} else {
			b = appendU32(b, saPN, uint32(sa.PN))
		}
		b = appendAttr(b, saKeyID, sa.KeyID[:]...)
		b = appendAttr(b, saKey, sa.Key...)
		if sa.XPN {
			var ssci [4]byte
			binary.BigEndian.PutUint32(ssci[:], sa.SSCI)
			b = appendAttr(b, saSSCI, ssci[:]...)
			b = appendAttr(b, saSalt, sa.Salt[:]...)
		}
		return b
	})
}

// encodeSA is DEL_ or UPD_ of a TXSA, or with sci of an RXSA. An update has
// active and nothing else: key, key identifier, SSCI and salt cannot change,
// and a PN would rewind the counter.
func encodeSA(ifindex int, sci *SCI, an uint8, active *bool) []byte {
	b := newRequest(ifindex)
	if sci != nil {
		b = appendRxSC(b, *sci, nil)
	}
	return appendNested(b, attrSAConfig, func(b []byte) []byte {
		b = appendU8(b, saAN, an)
		if active != nil {
			b = appendBool(b, saActive, *active)
		}
		return b
	})
}

// check finds what the kernel would answer with a bare EINVAL, or not at all.
func (sa *NewSA) check() error {
	switch {
	case sa.AN >= NumAN:
		return fmt.Errorf("an %d: not 0 to 3", sa.AN)
	case len(sa.Key) != 16 && len(sa.Key) != 32:
		return fmt.Errorf("SAK of %d octets: not 16 or 32", len(sa.Key))
	case sa.PN == 0:
		return errors.New("pn 0: PNs start at 1")
	case !sa.XPN && sa.PN > math.MaxUint32:
		return fmt.Errorf("pn %d: more than 32 bits without XPN", sa.PN)
	case sa.XPN && uint32(sa.PN) == 0:
		return fmt.Errorf("pn %#x: the kernel refuses one whose low 32 bits are 0; skip one", sa.PN)
	}
	return nil
}
