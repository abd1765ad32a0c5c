// Package secret holds key octets so that they cannot be printed by accident
// and can be zeroed on purpose. They are in locked pages outside of Go's heap
// (package locked).
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"runtime"

	"github.com/linkseal/linkseal/keymgmt/secret/erase"
	"github.com/linkseal/linkseal/keymgmt/secret/locked"
)

// Key is secret octets: a CAK, ICK, KEK, SAK or PSK. Every way of printing it
// gives its length alone. The zero Key is empty. A Key is not copied by
// value: pass *Key.
type Key struct {
	_ [0]func() // not comparable: == would leak timing and compare pointers
	// The octets are behind a pointer, so that fmt prints an address where it
	// cannot call Format: for a Key copied into somebody's unexported field.
	held *held
}

// held is what all copies of a Key share.
type held struct {
	octets    []byte // locked
	forgotten runtime.Cleanup
}

// alloc returns a Key of n octets of zero. One that is forgotten is zeroed
// when the garbage collector finds it.
func alloc(n int) *Key {
	h := &held{octets: locked.Alloc(n)}
	h.forgotten = runtime.AddCleanup(h, locked.Free, h.octets)
	return &Key{held: h}
}

// New returns a Key with a copy of b and zeroes b, so that one copy remains.
func New(b []byte) *Key {
	k := alloc(len(b))
	erase.Do(func() {
		copy(k.held.octets, b)
		clear(b)
	})
	return k
}

// Random returns a Key of n octets read from r.
func Random(r io.Reader, n int) (*Key, error) {
	k := alloc(n)
	var err error
	erase.Do(func() { _, err = io.ReadFull(r, k.held.octets) })
	if err != nil {
		k.Zero()
		return nil, fmt.Errorf("random key of %d octets: %w", n, err)
	}
	return k, nil
}

// Bytes returns the octets themselves, not a copy, and the caller neither
// keeps nor changes them. They are valid until Zero, and as long as the Key is
// reachable: whoever does not zero it, or have it from somebody who does, says
// runtime.KeepAlive(k) behind the last use of the octets.
func (k *Key) Bytes() []byte {
	if k == nil || k.held == nil {
		return nil
	}
	return k.held.octets
}

// Len is the number of octets.
func (k *Key) Len() int { return len(k.Bytes()) }

// Clone returns a second Key with the same octets, zeroed on its own.
func (k *Key) Clone() *Key {
	c := alloc(k.Len())
	erase.Do(func() { copy(c.held.octets, k.Bytes()) })
	runtime.KeepAlive(k)
	return c
}

// Zero overwrites the octets and empties the Key. It may be called again.
func (k *Key) Zero() {
	if k == nil || k.held == nil {
		return
	}
	h := k.held
	k.held = nil
	h.forgotten.Stop()
	locked.Free(h.octets)
	h.octets = nil // of other copies of the Key
}

// Equal compares in constant time for equal lengths.
func (k *Key) Equal(o *Key) (equal bool) {
	erase.Do(func() { equal = subtle.ConstantTimeCompare(k.Bytes(), o.Bytes()) == 1 })
	runtime.KeepAlive(k)
	runtime.KeepAlive(o)
	return equal
}

// Fingerprint names a key without giving it away: the first 8 octets of
// SHA-256 over "linkseal fingerprint" and the key, in hex. Keys are random,
// so that it cannot be searched.
func (k *Key) Fingerprint() (name string) {
	erase.Do(func() {
		h := sha256.New()
		h.Write([]byte("linkseal fingerprint"))
		h.Write(k.Bytes())
		name = hex.EncodeToString(h.Sum(nil)[:8])
	})
	runtime.KeepAlive(k)
	return name
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
