package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"runtime"
	"time"
)

const gcmFrame = 1500 // octets

// gcmLimit is how fast one core seals and opens frames with AES-256-GCM, as
// MACsec does (28 octets authenticated before them), in bit/s: no end that
// does both on one core can be faster.
func gcmLimit(d time.Duration) (float64, error) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return 0, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return 0, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var nonce [12]byte
	head, frame, back := make([]byte, 28), make([]byte, gcmFrame), make([]byte, 0, gcmFrame)
	sealed := make([]byte, 0, gcmFrame+aead.Overhead())
	begin, n := time.Now(), 0
	for time.Since(begin) < d {
		for range 100 {
			n++
			binary.BigEndian.PutUint64(nonce[4:], uint64(n))
			sealed = aead.Seal(sealed[:0], nonce[:], frame, head)
			if back, err = aead.Open(back[:0], nonce[:], sealed, head); err != nil {
				return 0, fmt.Errorf("aes-gcm: what was sealed does not open: %w", err)
			}
		}
	}
	return float64(n*gcmFrame*8) / time.Since(begin).Seconds(), nil
}
