package secret

import (
	"encoding/base32"
	"io"
	"runtime"

	"github.com/linkseal/linkseal/keymgmt/secret/erase"
)

// words are the letters and digits of RandomText: base32 (RFC 4648 clause 6)
// in lower case, without padding. Every system takes them for a pre-shared key.
var words = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// RandomText returns a Key that is text, of lower-case letters and digits, with
// n octets of randomness read from r: 52 characters for 32.
func RandomText(r io.Reader, n int) (*Key, error) {
	k, err := Random(r, n)
	if err != nil {
		return nil, err
	}
	text := alloc(words.EncodedLen(n))
	erase.Do(func() { words.Encode(text.held.octets, k.Bytes()) })
	runtime.KeepAlive(k)
	k.Zero()
	return text, nil
}
