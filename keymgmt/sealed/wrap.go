package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
)

// dataKeySize is AES-256's, in octets.
const dataKeySize = 32

// wrap returns the file of c under a fresh data key. h has all but the blob
// and the nonce.
func wrap(h header, c Contents, s Sealer) (file []byte, err error) {
	erase.Do(func() { file, err = seal(h, c, s) })
	return file, err
}

func seal(h header, c Contents, s Sealer) ([]byte, error) {
	text, err := encode(c)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	key, err := secret.Random(rand.Reader, dataKeySize)
	if err != nil {
		return nil, err
	}
	defer key.Zero()
	if h.blob, err = s.Seal(key); err != nil {
		return nil, fmt.Errorf("seal with the %s: %w", s.Name(), err)
	}
	if len(h.blob) > maxBlob || len(h.sealer) > maxSealer {
		return nil, fmt.Errorf("seal with the %s: a blob of %d octets; accepted: up to %d", s.Name(), len(h.blob), maxBlob)
	}
	if _, err := rand.Read(h.nonce[:]); err != nil {
		return nil, err
	}
	aead, err := aeadOf(key)
	if err != nil {
		return nil, err
	}
	aad := h.append(nil, len(text)+tagSize)
	return appendSum(aead.Seal(aad, h.nonce[:], text, aad)), nil
}

// unwrap is the inverse, of a file that parse has split. The error is a
// *Refusal without a file's name.
func unwrap(h header, aad, text []byte, s Sealer) (c Contents, err error) {
	erase.Do(func() { c, err = open(h, aad, text, s) })
	return c, err
}

func open(h header, aad, text []byte, s Sealer) (Contents, error) {
	key, err := s.Unseal(h.blob)
	if err != nil {
		return Contents{}, refusalOf(err)
	}
	defer key.Zero()
	aead, err := aeadOf(key)
	if err != nil {
		return Contents{}, refusalOf(err)
	}
	plain, err := aead.Open(nil, h.nonce[:], text, aad)
	if err != nil {
		return Contents{}, &Refusal{Kind: Changed, What: "does not authenticate: it was changed after it was sealed"}
	}
	defer clear(plain)
	c, err := decode(plain)
	if err != nil {
		return Contents{}, &Refusal{Kind: Changed, What: "is authentic and malformed", Err: err}
	}
	return c, nil
}

func aeadOf(key *secret.Key) (cipher.AEAD, error) {
	if key.Len() != dataKeySize {
		return nil, fmt.Errorf("a data key of %d octets; accepted: %d", key.Len(), dataKeySize)
	}
	block, err := aes.NewCipher(key.Bytes())
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
