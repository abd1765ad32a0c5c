package keyvault

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

const (
	// pskOctets are those of a PSK that is hex.
	pskOctets = 32
	// maxText is the longest PSK that is text, in octets.
	maxText = 256
)

// form is how a version's content type says that its value is to be read.
type form uint8

const (
	byLook form = iota // it says nothing of it
	asHex              // text/x-hex
	asText             // text/plain
)

// The content types of the versions that are written.
const (
	typeHex  = "text/x-hex"
	typeText = "text/plain"
)

// formOf reads a content type (RFC 9110 8.3.1), which may be nil.
func formOf(contentType *string) form {
	if contentType == nil {
		return byLook
	}
	media, _, _ := strings.Cut(*contentType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case typeHex:
		return asHex
	case typeText:
		return asText
	}
	return byLook
}

// decode reads the value of a version and zeroes text. White space around it
// is not part of it: editors and shells leave newlines. A CAK and a CKN are hex
// whatever f is; a PSK is what f says, and by its look the octets that 64 hex
// digits are, else text. What is wrong is told by lengths alone.
func decode(ref Ref, f form, text []byte) Value {
	defer clear(text)
	v := Value{Ref: ref}
	trimmed := bytes.TrimSpace(text)
	octets := make([]byte, hex.DecodedLen(len(trimmed)))
	n, err := hex.Decode(octets, trimmed)
	defer clear(octets)
	switch {
	case ref.Kind == PSK && f != asHex && (f == asText || err != nil || n != pskOctets):
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
	case ref.Kind == PSK && n != pskOctets:
		v.Wrong = fmt.Sprintf("is %d octets; accepted: %d", n, pskOctets)
	case ref.Kind == CAK && n != 16 && n != 32:
		v.Wrong = fmt.Sprintf("is %d octets; accepted: 16 or 32", n)
	case ref.Kind == CKN && (n == 0 || n > keychain.MaxCKN):
		v.Wrong = fmt.Sprintf("is %d octets; accepted: 1 to %d", n, keychain.MaxCKN)
	default:
		v.Octets = secret.New(octets[:n])
	}
	return v
}
