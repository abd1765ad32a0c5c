package keyvault

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// maxText is the longest PSK that is text, in octets.
const maxText = 256

// decode reads the value of a version and zeroes text. White space around it
// is not part of it: editors and shells leave newlines. What is wrong is told
// by lengths alone.
func decode(ref Ref, text []byte) Value {
	defer clear(text)
	v := Value{Ref: ref}
	trimmed := bytes.TrimSpace(text)
	octets := make([]byte, hex.DecodedLen(len(trimmed)))
	n, err := hex.Decode(octets, trimmed)
	defer clear(octets)
	switch {
	case ref.Kind == PSK && (err != nil || n != 32):
		if len(trimmed) == 0 || len(trimmed) > maxText || !utf8.Valid(trimmed) {
			v.Wrong = fmt.Sprintf("is no PSK: %d octets; accepted: 64 hex digits, or text of 1 to %d octets", len(trimmed), maxText)
			return v
		}
		v.Text = true
		v.Octets = secret.New(trimmed)
		return v
	case bytes.HasPrefix(trimmed, []byte("0x")) || bytes.HasPrefix(trimmed, []byte("0X")):
		v.Wrong = "begins with 0x; accepted: hex digits alone"
	case err != nil:
		v.Wrong = fmt.Sprintf("is not hex: %d characters, not all of them hex digits or an odd number", len(trimmed))
	case ref.Kind == CAK && n != 16 && n != 32:
		v.Wrong = fmt.Sprintf("is %d octets; accepted: 16 or 32", n)
	case ref.Kind == CKN && (n == 0 || n > keychain.MaxCKN):
		v.Wrong = fmt.Sprintf("is %d octets; accepted: 1 to %d", n, keychain.MaxCKN)
	default:
		v.Octets = secret.New(octets[:n])
	}
	return v
}
