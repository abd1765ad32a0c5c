package softsecy

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
)

// ErrICV says that a frame is not authentic under the key and the IV.
var ErrICV = errors.New("ICV is wrong")

// Params is what a Key is made of.
type Params struct {
	Suite sa.Suite
	SAK   *secret.Key
	// Offset is the confidentiality offset in octets, 0, 30 or 50. The XPN
	// suites have none (802.1AE 14.7, 14.8).
	Offset int
	// ICVLen is in octets; 0 means 16.
	ICVLen int
}

// IV is an initialization vector of GCM.
type IV [12]byte

// IV32 is the IV of the suites without XPN (802.1AE 14.5): SCI and PN.
func IV32(sci sa.SCI, pn uint32) (iv IV) {
	copy(iv[:], sci[:])
	binary.BigEndian.PutUint32(iv[8:], pn)
	return iv
}

// IVXPN is the IV of the XPN suites (802.1AE 14.7): SSCI and the whole PN,
// xor the salt.
func IVXPN(ssci uint32, pn uint64, salt [12]byte) (iv IV) {
	binary.BigEndian.PutUint32(iv[:], ssci)
	binary.BigEndian.PutUint64(iv[4:], pn)
	for i := range iv {
		iv[i] ^= salt[i]
	}
	return iv
}

// Key protects and validates frames under one SAK. It holds scratch space:
// one goroutine at a time.
type Key struct {
	suite  sa.Suite
	offset int
	aead   cipher.AEAD
	iv     IV     // what the AEAD is given lives here, so that it costs no allocation
	aad    []byte // used only where the AAD is not one piece of the frame
}

// NewKey expands the SAK. It keeps no reference to p.SAK, which the caller
// zeroes when it likes. The expanded key is erased when the Key is collected
// (package erase).
func NewKey(p Params) (*Key, error) {
	if p.ICVLen != 0 && p.ICVLen != ICVLen {
		return nil, fmt.Errorf("ICV length %d: only the suites' default, 16 octets, is supported", p.ICVLen)
	}
	if err := checkKey(p.Suite, p.Offset); err != nil {
		return nil, err
	}
	if p.SAK.Len() != p.Suite.KeyLen() {
		return nil, fmt.Errorf("SAK of %d octets: %v needs %d", p.SAK.Len(), p.Suite, p.Suite.KeyLen())
	}
	var aead cipher.AEAD
	var err error
	erase.Do(func() {
		var block cipher.Block
		if block, err = aes.NewCipher(p.SAK.Bytes()); err == nil {
			aead, err = cipher.NewGCM(block)
		}
	})
	runtime.KeepAlive(p.SAK)
	if err != nil {
		return nil, fmt.Errorf("SAK: %w", err)
	}
	return &Key{suite: p.Suite, offset: p.Offset, aead: aead}, nil
}

// checkKey refuses a suite and a confidentiality offset that do not exist.
func checkKey(suite sa.Suite, offset int) error {
	switch {
	case offset != 0 && offset != 30 && offset != 50:
		return fmt.Errorf("confidentiality offset %d: 0, 30 and 50 exist", offset)
	case suite < sa.GCMAES128 || suite > sa.GCMAESXPN256:
		return fmt.Errorf("%v: not supported; the suites are %v", suite, sa.Suites())
	case suite.XPN() && offset != 0:
		return fmt.Errorf("confidentiality offset %d: %v has none", offset, suite)
	}
	return nil
}

// clearLen is how much of n octets of secure data stays in clear and goes
// into the AAD.
func (k *Key) clearLen(t *SecTAG, n int) int {
	if !t.Encrypted() {
		return n
	}
	return min(k.offset, n)
}

// aadOf is DA, SA, SecTAG and the clear part of the secure data, of a frame
// whose SecTAG starts at tagAt and whose clear part ends at end.
func (k *Key) aadOf(frame []byte, tagAt, end int) []byte {
	if tagAt == addresses {
		return frame[:end]
	}
	k.aad = append(append(k.aad[:0], frame[:addresses]...), frame[tagAt:end]...)
	return k.aad
}

// Open validates m and appends the frame without SecTAG and ICV to dst: DA,
// SA, VLAN tags in clear, user data. m's frame and dst may not overlap. The
// IV is IV32 or IVXPN, as the suite is. On ErrICV and ErrZeroPN dst's octets
// past its length are not to be used. It allocates nothing if dst has room.
func (k *Key) Open(dst []byte, m *MPDU, iv IV) ([]byte, error) {
	if m.SecTAG.PN == 0 && !k.suite.XPN() {
		return nil, ErrZeroPN
	}
	k.iv = iv
	n := k.clearLen(&m.SecTAG, len(m.Secure))
	end := m.tagAt + m.SecTAG.Len() + n
	aad := k.aadOf(m.frame, m.tagAt, end)
	dst = append(dst, m.frame[:m.tagAt]...)
	dst = append(dst, m.Secure[:n]...)
	out, err := k.aead.Open(dst, k.iv[:], m.frame[end:], aad)
	if err != nil {
		return nil, ErrICV
	}
	return out, nil
}

// Protect appends the MPDU of frame to dst: the inverse of Open. frame is DA,
// SA, vlans octets of VLAN tags that stay in clear, user data. tag's SL is
// set here; its TCI says what the rest is. The two may not overlap. It
// allocates nothing if dst has room.
//
// A second frame under the same IV gives the key away: the caller counts.
func (k *Key) Protect(dst, frame []byte, vlans int, tag SecTAG, iv IV) ([]byte, error) {
	tagAt := addresses + vlans
	if vlans < 0 || len(frame) < tagAt+2 {
		return nil, fmt.Errorf("%w: no user data in %d octets", ErrLength, len(frame))
	}
	if tag.PN == 0 && !k.suite.XPN() {
		return nil, ErrZeroPN
	}
	user := frame[tagAt:]
	tag.SL = 0
	if len(user) < minSecureData {
		tag.SL = uint8(len(user))
	}
	k.iv = iv
	start := len(dst)
	dst = append(dst, frame[:tagAt]...)
	dst = tag.Append(dst)
	n := k.clearLen(&tag, len(user))
	dst = append(dst, user[:n]...)
	aad := k.aadOf(dst[start:], tagAt, len(dst)-start)
	return k.aead.Seal(dst, k.iv[:], user[n:], aad), nil
}
