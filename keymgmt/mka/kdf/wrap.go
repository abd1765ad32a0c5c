package kdf

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"runtime"

	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
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
	start := len(dst)
	dst = append(dst, make([]byte, semiblock+key.Len())...)
	var err error
	erase.Do(func() { err = wrap(dst[start:], kek.Bytes(), key.Bytes()) })
	runtime.KeepAlive(kek)
	runtime.KeepAlive(key)
	if err != nil {
		clear(dst[start:])
		return dst[:start], fmt.Errorf("key wrap: %w", err)
	}
	return dst, nil
}

// wrap writes key, wrapped under kek, to out, which is as long as that.
func wrap(out, kek, key []byte) error {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return err
	}
	a, r := out[:semiblock], out[semiblock:]
	copy(a, wrapIV[:])
	copy(r, key)
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
	return nil
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
	var key *secret.Key
	var err error
	erase.Do(func() { key, err = unwrap(kek.Bytes(), wrapped) })
	runtime.KeepAlive(kek)
	return key, err
}

func unwrap(kek, wrapped []byte) (*secret.Key, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fmt.Errorf("key unwrap: %w", err)
	}
	r := append([]byte(nil), wrapped[semiblock:]...)
	b := make([]byte, aes.BlockSize)
	copy(b, wrapped[:semiblock])
	for t := uint64(6 * len(r) / semiblock); t > 0; t-- {
		ri := r[int(t-1)*semiblock%len(r):][:semiblock]
		binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)^t)
		copy(b[semiblock:], ri)
		block.Decrypt(b, b)
		copy(ri, b[semiblock:])
	}
	if subtle.ConstantTimeCompare(b[:semiblock], wrapIV[:]) != 1 {
		return nil, ErrUnwrap
	}
	return secret.New(r), nil
}
