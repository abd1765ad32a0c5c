package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
)

// KeyName is the key file in the state directory, CredentialName the one among
// the service's credentials.
const (
	KeyName        = "seal.key"
	CredentialName = "linkseal.seal"
)

// A key file has at least minKey octets that nobody can guess, in any form:
// HKDF-SHA256 makes of them the key that wraps and the id that tells which it
// was.
const (
	minKey  = 32
	maxKey  = 64 << 10
	infoKey = "linkseal sealed keys: wrap"
	infoID  = "linkseal sealed keys: id"
	idSize  = 8
)

// keySealer wraps data keys with a key from a file. A blob is the key's id,
// a nonce, and AES-256-GCM's ciphertext with the id as AAD.
type keySealer struct {
	name string
	d    disk
	file string
	make bool // the file is made at the first Seal
}

// KeyFile is the sealer whose key is in a file, mode 0600. The empty path is
// KeyName in the state directory, which is made with the first file that it
// seals; another path must be there.
func KeyFile(stateDir, path string) Sealer {
	if path == "" {
		return &keySealer{WithFile, directory{dir: stateDir}, KeyName, true}
	}
	return &keySealer{WithFile, directory{dir: filepath.Dir(path)}, filepath.Base(path), false}
}

// Credential is the sealer whose key is a systemd credential (LoadCredential=
// or LoadCredentialEncrypted=, systemd.exec(5)), which systemd makes 0400, or
// 0440 where an ACL names the service's user.
func Credential(path string) Sealer {
	return &keySealer{WithCredential, directory{filepath.Dir(path), true}, filepath.Base(path), false}
}

func (s *keySealer) Name() string { return s.name }

func (s *keySealer) Seal(key *secret.Key) ([]byte, error) {
	id, aead, err := s.open()
	if errors.Is(err, fs.ErrNotExist) && s.make {
		if err = s.generate(); err == nil {
			id, aead, err = s.open()
		}
	}
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, nonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return aead.Seal(append(bytes.Clone(id), nonce...), nonce, key.Bytes(), id), nil
}

func (s *keySealer) Unseal(blob []byte) (*secret.Key, error) {
	id, aead, err := s.open()
	if errors.Is(err, fs.ErrNotExist) && s.make {
		return nil, fmt.Errorf("%w: its key %s is gone", ErrForeign, s.d.path(s.file))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWithheld, err)
	}
	if len(blob) != idSize+nonceSize+dataKeySize+tagSize {
		return nil, fmt.Errorf("%w: a blob of %d octets", ErrForeign, len(blob))
	}
	of, nonce, text := blob[:idSize], blob[idSize:idSize+nonceSize], blob[idSize+nonceSize:]
	if !bytes.Equal(of, id) {
		return nil, fmt.Errorf("%w: with the key of id %x, and %s has id %x", ErrForeign, of, s.d.path(s.file), id)
	}
	octets, err := aead.Open(nil, nonce, text, id)
	if err != nil {
		return nil, fmt.Errorf("%w: the blob does not authenticate under %s", ErrForeign, s.d.path(s.file))
	}
	return secret.New(octets), nil
}

// open derives the id and the cipher from the file as it is now.
func (s *keySealer) open() (id []byte, aead cipher.AEAD, err error) {
	octets, err := s.d.read(s.file, maxKey)
	if err != nil {
		return nil, nil, fmt.Errorf("seal key: %w", err)
	}
	defer clear(octets)
	if len(octets) < minKey {
		return nil, nil, fmt.Errorf("seal key: %s has %d octets; accepted: %d or more, random (head -c 32 /dev/urandom)", s.d.path(s.file), len(octets), minKey)
	}
	if id, err = hkdf.Key(sha256.New, octets, nil, infoID, idSize); err != nil {
		return nil, nil, err
	}
	wrap, err := hkdf.Key(sha256.New, octets, nil, infoKey, dataKeySize)
	if err != nil {
		return nil, nil, err
	}
	defer clear(wrap)
	block, err := aes.NewCipher(wrap)
	if err != nil {
		return nil, nil, err
	}
	aead, err = cipher.NewGCM(block)
	return id, aead, err
}

// generate makes the file. Whoever saves has the lock of the directory.
func (s *keySealer) generate() error {
	key, err := secret.Random(rand.Reader, minKey)
	if err != nil {
		return err
	}
	defer key.Zero()
	if err := replace(s.d, s.file, key.Bytes()); err != nil {
		return fmt.Errorf("seal key: make %s: %w", s.d.path(s.file), err)
	}
	return nil
}

// check reads the key once, for its errors.
func (s *keySealer) check() (err error) {
	erase.Do(func() { _, _, err = s.open() })
	if s.make && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
