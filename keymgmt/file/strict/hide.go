package strict

import "regexp"

const hidden = "[hidden]"

// secretKeys are names whose values are not shown: what somebody may have put
// where a reference belongs.
var (
	secretKeys = regexp.MustCompile(`(?i)(["']?\b(?:cak|sak|ick|kek|psk|psk_text|psk_hex|private_key|password|passphrase|secret|client_secret|token|key)["']?\s*:\s*)([^\s,}\]#][^,}\]#]*)`)
	// keyLike are 8 octets in hex or more, also in pairs with a separator
	// between them, and 32 octets in base64. A MAC address has 6 octets.
	keyLike = regexp.MustCompile(`[A-Za-z0-9+/]{43}=|(?:[0-9A-Fa-f][-_:., ]?){15,}[0-9A-Fa-f]`)
)

// Hide replaces in text whatever looks like key octets, and the values of keys
// that name a secret.
func Hide(text string) string {
	return secretKeys.ReplaceAllString(keyLike.ReplaceAllString(text, hidden), "${1}"+hidden)
}
