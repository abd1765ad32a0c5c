// Package secret holds key octets so that they cannot be printed by accident
// and can be zeroed on purpose.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// Key is secret octets: a CAK, ICK, KEK, SAK or PSK. Every way of printing it
// gives its length alone. The zero Key is empty. A Key is not copied by
// value: pass *Key.
type Key struct {
	_ [0]func() // not comparable: == would leak timing and compare pointers
	// b is behind a pointer, so that fmt prints an address where it cannot
	// call Format: for a Key copied into somebody's unexported field.
	b *[]byte
}

func of(b []byte) *Key { return &Key{b: &b} }

// New returns a Key with a copy of b and zeroes b, so that one copy remains.
func New(b []byte) *Key {
	k := of(append([]byte(nil), b...))
	clear(b)
	return k
}

// Random returns a Key of n octets read from r.
func Random(r io.Reader, n int) (*Key, error) {
	k := of(make([]byte, n))
	if _, err := io.ReadFull(r, *k.b); err != nil {
		k.Zero()
		return nil, fmt.Errorf("random key of %d octets: %w", n, err)
	}
	return k, nil
}

// Bytes returns the octets themselves, not a copy: they are valid until Zero
// and the caller neither keeps nor changes them.
func (k *Key) Bytes() []byte {
	if k == nil || k.b == nil {
		return nil
	}
	return *k.b
}

// Len is the number of octets.
func (k *Key) Len() int { return len(k.Bytes()) }

// Clone returns a second Key with the same octets, zeroed on its own.
func (k *Key) Clone() *Key { return of(append([]byte(nil), k.Bytes()...)) }

// Zero overwrites the octets and empties the Key. It may be called again.
func (k *Key) Zero() {
	if k == nil {
		return
	}
	clear(k.Bytes())
	k.b = nil
}

// Equal compares in constant time for equal lengths.
func (k *Key) Equal(o *Key) bool { return subtle.ConstantTimeCompare(k.Bytes(), o.Bytes()) == 1 }

// Fingerprint names a key without giving it away: the first 8 octets of
// SHA-256 over "linkseal fingerprint" and the key, in hex. Keys are random,
// so that it cannot be searched.
func (k *Key) Fingerprint() string {
	h := sha256.New()
	h.Write([]byte("linkseal fingerprint"))
	h.Write(k.Bytes())
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func (k Key) String() string { return fmt.Sprintf("[secret, %d octets]", k.Len()) }

// Format implements fmt.Formatter: no verb prints the octets.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// GoString implements fmt.GoStringer.
func (k Key) GoString() string { return k.String() }

// MarshalText implements encoding.TextMarshaler, which JSON and YAML use.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue implements slog.LogValuer.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
