package sealed

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// decode is the inverse of encode. It accepts what encode writes and nothing
// else, and zeroes the secrets in text as it takes them. The error names what
// is wrong and at which octet, never what is there.
func decode(text []byte) (Contents, error) {
	if len(text) > maxText {
		return Contents{}, fmt.Errorf("%d octets of contents; accepted: up to %d", len(text), maxText)
	}
	r := &reader{b: text}
	c := r.contents()
	if r.err == nil && r.at != len(text) {
		r.fail("%d octets after the end", len(text)-r.at)
	}
	if r.err != nil {
		c.Zero()
		return Contents{}, r.err
	}
	return c, nil
}

// reader reads from at on. After its first error it reads only zeroes.
type reader struct {
	b   []byte
	at  int
	err error
}

func (r *reader) contents() Contents {
	c := Contents{Time: r.time(), Keychains: map[string]*keychain.Keychain{}}
	n := r.number(maxKeychains, "keychains")
	last := ""
	for i := 0; i < n && r.err == nil; i++ {
		name := string(r.string(1, maxString, "a keychain's name"))
		if r.err == nil && name <= last {
			r.fail("a keychain out of order")
		}
		last = name
		k := &keychain.Keychain{}
		c.Keychains[name] = k
		keys, psks := r.number(maxKeys, "keys"), r.number(maxKeys, "PSKs")
		r.keys(k, keys)
		r.psks(k, psks)
	}
	return c
}

func (r *reader) keys(c *keychain.Keychain, n int) {
	seen := map[keychain.CKN]bool{}
	for i := 0; i < n && r.err == nil; i++ {
		var k keychain.Key
		k.CKN = keychain.CKN(r.string(1, keychain.MaxCKN, "a CKN"))
		cak := r.string(16, 32, "a CAK")
		if r.err == nil && len(cak) != 16 && len(cak) != 32 {
			r.fail("a CAK of %d octets; accepted: 16 or 32", len(cak))
		}
		f := r.flags(keyFlags)
		k.ExpiresHard, k.Fallback = f&flagHard != 0, f&flagFallback != 0
		k.Window, k.FirstSeen = r.times()
		k.Pinned.Pair = string(r.string(0, maxString, "a pair id"))
		k.Pinned.CAK = string(r.string(0, maxString, "a version"))
		k.Pinned.CKN = string(r.string(0, maxString, "a version"))
		if r.err == nil && seen[k.CKN] {
			r.fail("a CKN that is there twice")
		}
		if r.err == nil {
			seen[k.CKN] = true
			k.CAK = secret.New(cak)
			c.Keys = append(c.Keys, k)
		}
	}
}

func (r *reader) psks(c *keychain.Keychain, n int) {
	seen := map[string]bool{}
	for i := 0; i < n && r.err == nil; i++ {
		var p keychain.PSK
		p.ID = string(r.string(0, maxString, "a PSK's id"))
		octets := r.string(1, maxCertificate, "a PSK")
		f := r.flags(pskFlags)
		if r.err == nil && len(octets) > longest(f) {
			r.fail("a PSK of %d octets; accepted: up to %d", len(octets), longest(f))
		}
		p.ExpiresHard, p.Fallback = f&flagHard != 0, f&flagFallback != 0
		p.Text, p.Certificate = f&flagText != 0, f&flagCertificate != 0
		p.Window, p.FirstSeen = r.times()
		p.Version = string(r.string(0, maxString, "a version"))
		if r.err == nil && seen[p.ID] {
			r.fail("a PSK's id that is there twice")
		}
		if r.err == nil {
			seen[p.ID] = true
			p.Secret = secret.New(octets)
			c.PSKs = append(c.PSKs, p)
		}
	}
}

func (r *reader) flags(known byte) byte {
	f := r.take(1, "flags")[0]
	if f&^known != 0 {
		r.fail("unknown flags")
	}
	return f
}

func (r *reader) times() (w keychain.Window, seen time.Time) {
	w.NotBefore, w.Expires = r.time(), r.time()
	return w, r.time()
}

func (r *reader) time() time.Time {
	t, ok := parseTime(r.take(timeSize, "a time"))
	if !ok {
		r.fail("a time that is none")
	}
	return t
}

// timeSize is the length of a time in octets.
const timeSize = 12

// parseTime is the inverse of appendTime; false for what that never writes.
func parseTime(b []byte) (time.Time, bool) {
	sec, nsec := int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])
	if sec == noTime {
		return time.Time{}, nsec == 0
	}
	t := time.Unix(sec, int64(nsec)).UTC()
	// Compared as numbers first: far seconds wrap around in package time.
	ok := sec >= firstSecond && sec <= lastSecond && nsec < 1e9 && !t.IsZero()
	if !ok {
		return time.Time{}, false
	}
	return t, true
}

// The years that encode accepts, in Unix seconds.
var (
	firstSecond = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastSecond  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

func (r *reader) number(most int, what string) int {
	n := int(binary.BigEndian.Uint16(r.take(2, what)))
	if n > most {
		r.fail("%d %s; accepted: up to %d", n, what, most)
	}
	return n
}

// string returns octets of the text itself.
func (r *reader) string(least, most int, what string) []byte {
	n := int(binary.BigEndian.Uint16(r.take(2, what)))
	if r.err == nil && (n < least || n > most) {
		r.fail("%s of %d octets; accepted: %d to %d", what, n, least, most)
	}
	if r.err != nil {
		return nil
	}
	return r.take(n, what)
}

// take returns the next n octets; n zeroes after an error.
func (r *reader) take(n int, what string) []byte {
	if r.err == nil && len(r.b)-r.at < n {
		r.fail("the end in the middle of %s", what)
	}
	if r.err != nil {
		return make([]byte, n)
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("contents, octet %d: "+format, append([]any{r.at}, args...)...)
	}
}
