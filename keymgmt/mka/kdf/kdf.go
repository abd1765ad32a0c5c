// Package kdf has the cryptography of MKA: the key derivation function of
// 802.1X-2020 6.2.1 and the keys derived with it (KEK, ICK, SAK), the ICV
// (AES-CMAC), the wrapping of a SAK (RFC 3394) and the salt of the XPN suites.
package kdf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
)

// What the functions of this package refuse, for errors.Is.
var (
	// ErrKeyLength is for a CAK, KEK, ICK or SAK of neither 16 nor 32 octets.
	ErrKeyLength = errors.New("the key has neither 16 nor 32 octets")
	// ErrCKNLength is for a CKN without octets or with more than 32.
	ErrCKNLength = errors.New("the CKN does not have 1 to 32 octets")
	// ErrNonceLength is for a key server's nonce that is not as long as the
	// SAK.
	ErrNonceLength = errors.New("the nonce is not as long as the SAK")
	// ErrMIList is for a list that is not one or more MIs of 12 octets.
	ErrMIList = errors.New("the MI list is not one or more MIs of 12 octets")
	// ErrOutputLength is for an output of the KDF that it cannot give.
	ErrOutputLength = errors.New("the KDF gives whole octets, 8 to 32640 bits")
	// ErrWrapLength is for a wrapped key of neither 24 nor 40 octets.
	ErrWrapLength = errors.New("the wrapped key has neither 24 nor 40 octets")
	// ErrUnwrap is for a wrapped key that fails its integrity check.
	ErrUnwrap = errors.New("the wrapped key fails its integrity check: another CAK wrapped it, or it was changed")
)

// The labels of 802.1X-2020 9.3.3 and 9.8.1.
const (
	labelKEK = "IEEE8021 KEK"
	labelICK = "IEEE8021 ICK"
	labelSAK = "IEEE8021 SAK"
)

const (
	maxCKN    = 32
	keyIDLen  = 16               // octets of the CKN, zero padded, in the context of KEK and ICK
	miLen     = 12               // octets of an MI
	maxKDFLen = 255 * 8 * TagLen // bits: the counter has one octet and starts at 1
)

// KDF is the key derivation function of 802.1X-2020 6.2.1 in the counter mode
// of NIST SP 800-108 with AES-CMAC: for i = 1, 2, ... the CMAC under key of
// i (1 octet), label, 00, context, bits (2 octets, big-endian), put one after
// the other and cut to bits. key has 16 or 32 octets. The result is secret:
// the caller hands it to secret.New or clears it.
func KDF(key []byte, label string, context []byte, bits int) ([]byte, error) {
	if bits < 8 || bits > maxKDFLen || bits%8 != 0 {
		return nil, fmt.Errorf("KDF %q of %d bits: %w", label, bits, ErrOutputLength)
	}
	prf, err := NewCMAC(key)
	if err != nil {
		return nil, fmt.Errorf("KDF %q: %w", label, err)
	}
	defer clear(prf.x[:]) // the last block of the output
	msg := make([]byte, 0, 1+len(label)+1+len(context)+2)
	msg = append(msg, 0)
	msg = append(msg, label...)
	msg = append(msg, 0)
	msg = append(msg, context...)
	msg = binary.BigEndian.AppendUint16(msg, uint16(bits))

	octets := bits / 8
	out := make([]byte, 0, (octets+TagLen-1)/TagLen*TagLen)
	for len(out) < octets {
		msg[0]++
		out = prf.Append(out, msg)
	}
	clear(out[octets:])
	return out[:octets], nil
}

// KEK derives the key encrypting key, as long as the CAK, from a CAK of 16 or
// 32 octets and a CKN of 1 to 32 (802.1X-2020 9.3.3).
func KEK(cak *secret.Key, ckn []byte) (*secret.Key, error) { return fromCKN(labelKEK, cak, ckn) }

// ICK derives the key of the ICV, as long as the CAK, from a CAK of 16 or 32
// octets and a CKN of 1 to 32 (802.1X-2020 9.3.3).
func ICK(cak *secret.Key, ckn []byte) (*secret.Key, error) { return fromCKN(labelICK, cak, ckn) }

func fromCKN(label string, cak *secret.Key, ckn []byte) (*secret.Key, error) {
	if len(ckn) < 1 || len(ckn) > maxCKN {
		return nil, fmt.Errorf("%s from a CKN of %d octets: %w", label, len(ckn), ErrCKNLength)
	}
	var context [keyIDLen]byte
	copy(context[:], ckn)
	return derive(label, cak, context[:], cak.Len())
}

// SAK derives a secure association key of 16 or 32 octets (802.1X-2020
// 9.8.1). nonce is the key server's, random, used once and as long as the
// SAK; miList is the MIs of the members that the SAK is for, 12 octets each,
// the key server's included; kn is its key number.
func SAK(cak *secret.Key, nonce, miList []byte, kn uint32, octets int) (*secret.Key, error) {
	switch {
	case octets != 16 && octets != 32:
		return nil, fmt.Errorf("SAK of %d octets: %w", octets, ErrKeyLength)
	case len(nonce) != octets:
		return nil, fmt.Errorf("SAK of %d octets with a nonce of %d: %w", octets, len(nonce), ErrNonceLength)
	case len(miList) == 0 || len(miList)%miLen != 0:
		return nil, fmt.Errorf("SAK with an MI list of %d octets: %w", len(miList), ErrMIList)
	}
	context := make([]byte, 0, len(nonce)+len(miList)+4)
	context = append(context, nonce...)
	context = append(context, miList...)
	context = binary.BigEndian.AppendUint32(context, kn)
	return derive(labelSAK, cak, context, octets)
}

func derive(label string, cak *secret.Key, context []byte, octets int) (*secret.Key, error) {
	// Checked before KDF, which would name an absent CAK's zero octets of
	// output instead.
	if err := checkKey(cak.Len()); err != nil {
		return nil, fmt.Errorf("%s from a CAK of %d octets: %w", label, cak.Len(), err)
	}
	var key *secret.Key
	var err error
	erase.Do(func() {
		var out []byte
		if out, err = KDF(cak.Bytes(), label, context, 8*octets); err == nil {
			key = secret.New(out)
		}
	})
	runtime.KeepAlive(cak)
	return key, err
}

func checkKey(octets int) error {
	if octets != 16 && octets != 32 {
		return ErrKeyLength
	}
	return nil
}

// Salt is the salt of an XPN suite for the SAK that id names (802.1AE-2018
// 10.7.8 as 802.1X-2020 9.10 fills it): the 12 octets of the key server's MI,
// the first two xored with the low 16 bits of the key number and the next two
// with its high 16, both big-endian.
func Salt(id sa.KeyID) [12]byte {
	salt := [12]byte(id.MI)
	salt[0] ^= byte(id.KN >> 8)
	salt[1] ^= byte(id.KN)
	salt[2] ^= byte(id.KN >> 24)
	salt[3] ^= byte(id.KN >> 16)
	return salt
}
