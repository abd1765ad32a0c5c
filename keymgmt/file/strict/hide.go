package strict

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

const hidden = "[hidden]"

// secretKeys are names whose values are not shown: what somebody may have put
// where a reference belongs. A quoted value ends with its quote, if nothing
// follows that YAML would not let follow; any other may have commas and braces
// in it, and goes on to the end of the line. hub1-psk is a keychain's name.
var (
	secretKeys = regexp.MustCompile(`(?im)(?:["']?\b(?:cak|sak|ick|kek|psk_text|psk_hex|private_key|password|passphrase|secret|client_secret|token|key)|(?:^|[^-\w])psk)["']?[ \t]*:[ \t]*` +
		`(?:("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')[ \t]*(?:[,}\]]|[ \t]#|$)|([^\s].*))`)
	// keyLike are 8 octets in hex or more, also in pairs with a separator
	// between them, and 32 octets in base64. A MAC address has 6 octets.
	keyLike = regexp.MustCompile(`[A-Za-z0-9+/]{43}=|(?:[0-9A-Fa-f][-_:., ]?){15,}[0-9A-Fa-f]`)
)

// span is a part of a text, in octets or in characters: from from up to to.
type span struct{ from, to int }

// secrets are the parts of text that are not shown, in order and apart.
func secrets(text string) (list []span) {
	for _, m := range keyLike.FindAllStringIndex(text, -1) {
		list = append(list, span{m[0], m[1]})
	}
	for _, m := range secretKeys.FindAllStringSubmatchIndex(text, -1) {
		list = append(list, span{max(m[2], m[4]), max(m[3], m[5])}) // one of the two is -1
	}
	slices.SortFunc(list, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	apart := list[:0]
	for _, s := range list {
		if n := len(apart); n > 0 && s.from < apart[n-1].to {
			apart[n-1].to = max(apart[n-1].to, s.to)
			continue
		}
		apart = append(apart, s)
	}
	return apart
}

// Hide replaces in text whatever looks like key octets, and the values of keys
// that name a secret.
func Hide(text string) string {
	var b strings.Builder
	at := 0
	for _, s := range secrets(text) {
		b.WriteString(text[at:s.from])
		b.WriteString(hidden)
		at = s.to
	}
	b.WriteString(text[at:])
	return b.String()
}
