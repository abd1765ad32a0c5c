package kdf

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/secret"
)

const semiblock = 8 // RFC 3394's unit, and what wrapping adds to a key

var wrapIV = [semiblock]byte{0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6}

// Wrap appends key (16 or 32 octets), wrapped under kek (16 or 32 octets) as
// RFC 3394 2.2.1 has it, to dst: 8 octets more than the key.
func Wrap(dst []byte, kek, key *secret.Key) ([]byte, error) {
	if err := checkKey(kek.Len()); err != nil {
		return dst, fmt.Errorf("key wrap with a KEK of %d octets: %w", kek.Len(), err)
	}
	if err := checkKey(key.Len()); err != nil {
		return dst, fmt.Errorf("key wrap of a key of %d octets: %w", key.Len(), err)
	}
	block, err := aes.NewCipher(kek.Bytes())
	if err != nil {
		return dst, fmt.Errorf("key wrap: %w", err)
	}
	start := len(dst)
	dst = append(dst, wrapIV[:]...)
	dst = append(dst, key.Bytes()...)
	a, r := dst[start:start+semiblock], dst[start+semiblock:]
	b := make([]byte, aes.BlockSize)
	copy(b, a)
	for t, steps := uint64(1), uint64(6*len(r)/semiblock); t <= steps; t++ {
		ri := r[int(t-1)*semiblock%len(r):][:semiblock]
		copy(b[semiblock:], ri)
		block.Encrypt(b, b)
		binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)^t)
		copy(ri, b[semiblock:])
	}
	copy(a, b)
	clear(b)
	return dst, nil
}

// Unwrap is the inverse of Wrap (RFC 3394 2.2.2). wrapped has 24 or 40 octets
// and is left as it is. ErrUnwrap, found in constant time, says that it was
// not wrapped under kek.
func Unwrap(kek *secret.Key, wrapped []byte) (*secret.Key, error) {
	if err := checkKey(kek.Len()); err != nil {
		return nil, fmt.Errorf("key unwrap with a KEK of %d octets: %w", kek.Len(), err)
	}
	if checkKey(len(wrapped)-semiblock) != nil {
		return nil, fmt.Errorf("key unwrap of %d octets: %w", len(wrapped), ErrWrapLength)
	}
	block, err := aes.NewCipher(kek.Bytes())
	if err != nil {
		return nil, fmt.Errorf("key unwrap: %w", err)
	}
	r := append([]byte(nil), wrapped[semiblock:]...)
	b := make([]byte, aes.BlockSize)
	defer clear(b)
	copy(b, wrapped[:semiblock])
	for t := uint64(6 * len(r) / semiblock); t > 0; t-- {
		ri := r[int(t-1)*semiblock%len(r):][:semiblock]
		binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)^t)
		copy(b[semiblock:], ri)
		block.Decrypt(b, b)
		copy(ri, b[semiblock:])
	}
	if subtle.ConstantTimeCompare(b[:semiblock], wrapIV[:]) != 1 {
		clear(r)
		return nil, ErrUnwrap
	}
	return secret.New(r), nil
}
