package sealed

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// The plaintext, big-endian. A string is 2 octets of length and its octets; a
// time is 8 octets of Unix seconds and 4 of nanoseconds, the zero time the
// least number of seconds and 0. Keychains are in the order of their names:
// equal contents have one encoding.
//
//	time, keychains u16, then each:
//	  name string, keys u16, PSKs u16
//	  a key: CKN string, CAK string, flags u8, not_before, expires, first seen
//	    (times), pair, CAK's version, CKN's version (strings)
//	  a PSK: id string, secret string, flags u8, the three times, version string
const (
	maxKeychains = 1024
	maxKeys      = 4096 // of one keychain
	maxString    = 1024
	maxPSK       = 1024
	// maxCertificate is a certificate with its private key and issuers.
	maxCertificate = keychain.MaxCertificate
	// maxText bounds the whole plaintext.
	maxText = 1 << 20
)

// The flags of a key and of a PSK.
const (
	flagHard = 1 << iota
	flagFallback
	flagText        // of a PSK
	flagCertificate // of a PSK: it is a certificate and its private key

	keyFlags = flagHard | flagFallback
	pskFlags = keyFlags | flagText | flagCertificate
)

// noTime are the seconds of the zero time.
const noTime = math.MinInt64

// encode returns the plaintext of c in one allocation, which the caller
// zeroes. The error is a limit that c exceeds; it names no key.
func encode(c Contents) ([]byte, error) {
	count := &writer{}
	count.contents(c)
	if count.err == nil && count.n > maxText {
		count.err = fmt.Errorf("%d octets of keys; accepted: up to %d", count.n, maxText)
	}
	if count.err != nil {
		return nil, fmt.Errorf("keys to be sealed: %w", count.err)
	}
	// Sized, so that no growth leaves a copy of a key behind.
	w := &writer{b: make([]byte, 0, count.n)}
	w.contents(c)
	return w.b, nil
}

// writer counts, and appends if b is there.
type writer struct {
	b   []byte
	n   int
	err error
}

func (w *writer) contents(c Contents) {
	w.time(c.Time, "the newest wall clock")
	w.number(len(c.Keychains), maxKeychains, "keychains")
	for _, name := range slices.Sorted(maps.Keys(c.Keychains)) {
		k := c.Keychains[name]
		if k == nil {
			k = &keychain.Keychain{}
		}
		w.string([]byte(name), 1, maxString, "a keychain's name")
		w.number(len(k.Keys), maxKeys, "keys of keychain "+name)
		w.number(len(k.PSKs), maxKeys, "PSKs of keychain "+name)
		for i := range k.Keys {
			w.key(&k.Keys[i])
		}
		for i := range k.PSKs {
			w.psk(&k.PSKs[i])
		}
	}
}

func (w *writer) key(k *keychain.Key) {
	w.string([]byte(k.CKN), 1, keychain.MaxCKN, "a CKN")
	if n := k.CAK.Len(); n != 16 && n != 32 {
		w.fail("a CAK of %d octets; accepted: 16 or 32", n)
	}
	w.string(k.CAK.Bytes(), 16, 32, "a CAK")
	w.octet(flags(k.ExpiresHard, k.Fallback, false))
	w.times(k.Window, k.FirstSeen)
	w.string([]byte(k.Pinned.Pair), 0, maxString, "a pair id")
	w.string([]byte(k.Pinned.CAK), 0, maxString, "a version")
	w.string([]byte(k.Pinned.CKN), 0, maxString, "a version")
}

func (w *writer) psk(p *keychain.PSK) {
	w.string([]byte(p.ID), 0, maxString, "a PSK's id")
	f := flags(p.ExpiresHard, p.Fallback, p.Text)
	if p.Certificate {
		f |= flagCertificate
	}
	w.string(p.Secret.Bytes(), 1, longest(f), "a PSK")
	w.octet(f)
	w.times(p.Window, p.FirstSeen)
	w.string([]byte(p.Version), 0, maxString, "a version")
}

// longest is the most octets of a PSK with flags f.
func longest(f byte) int {
	if f&flagCertificate != 0 {
		return maxCertificate
	}
	return maxPSK
}

func flags(hard, fallback, text bool) (f byte) {
	if hard {
		f |= flagHard
	}
	if fallback {
		f |= flagFallback
	}
	if text {
		f |= flagText
	}
	return f
}

func (w *writer) times(win keychain.Window, seen time.Time) {
	w.time(win.NotBefore, "not_before")
	w.time(win.Expires, "expires")
	w.time(seen, "first seen")
}

func (w *writer) time(t time.Time, what string) {
	if t.IsZero() {
		w.put(appendTime(nil, t))
		return
	}
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		w.fail("%s in the year %d; accepted: 1 to 9999", what, y)
	}
	w.put(appendTime(nil, t))
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		none := int64(noTime)
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, uint64(none)), 0)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

func (w *writer) number(n, most int, what string) {
	if n > most {
		w.fail("%d %s; accepted: up to %d", n, what, most)
	}
	w.put(binary.BigEndian.AppendUint16(nil, uint16(n)))
}

func (w *writer) string(s []byte, least, most int, what string) {
	if len(s) < least || len(s) > most {
		w.fail("%s of %d octets; accepted: %d to %d", what, len(s), least, most)
	}
	w.put(binary.BigEndian.AppendUint16(nil, uint16(len(s))))
	w.put(s)
}

func (w *writer) octet(b byte) { w.put([]byte{b}) }

func (w *writer) put(b []byte) {
	w.n += len(b)
	if w.b != nil {
		w.b = append(w.b, b...)
	}
}

func (w *writer) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}
