package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"aead.dev/minisign"
)

// Key is the public key that an image takes updates of.
type Key struct{ minisign.PublicKey }

// ReadKey reads a public key as minisign writes it.
func ReadKey(path string) (k Key, err error) {
	text, err := readSmall(path)
	if err != nil {
		return k, fmt.Errorf("update key: %w", err)
	}
	if err := k.UnmarshalText(text); err != nil {
		return k, fmt.Errorf("update key %s: %w", path, err)
	}
	return k, nil
}

// verify says why signature is not the key's over manifest. A signature over the
// hash is what minisign makes by itself; it may also be over the text.
func (k Key) verify(manifest, signature []byte) error {
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	if s.KeyID != k.ID() {
		return fmt.Errorf("signature: made by key %016X, and this image takes updates signed by %016X alone", s.KeyID, k.ID())
	}
	if !minisign.Verify(k.PublicKey, manifest, signature) {
		return errors.New("signature: it does not fit the manifest; the file was changed after it was signed, or damaged: get it again")
	}
	return nil
}

// Signer is the private key of updates.
type Signer struct{ key minisign.PrivateKey }

// NewSigner makes a key: its private and its public file, as minisign -G -W does.
func NewSigner() (private, public []byte, err error) {
	pub, key, err := minisign.GenerateKey(nil)
	if err != nil {
		return nil, nil, err
	}
	if private, err = key.MarshalText(); err != nil {
		return nil, nil, err
	}
	if public, err = pub.MarshalText(); err != nil {
		return nil, nil, err
	}
	return append(private, '\n'), append(public, '\n'), nil
}

// ReadSigner reads a private key without a password, which nobody but the owner
// may read.
func ReadSigner(path string) (s Signer, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return s, fmt.Errorf("signing key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return s, fmt.Errorf("signing key %s: mode %04o; accepted: 0600 or stricter", path, info.Mode().Perm())
	}
	text, err := readSmall(path)
	if err != nil {
		return s, fmt.Errorf("signing key: %w", err)
	}
	defer clear(text)
	if s.key.UnmarshalText(text) != nil { // whose error might quote the key
		return s, fmt.Errorf("signing key %s: not a private key of minisign without a password; accepted: what minisign -G -W writes", path)
	}
	return s, nil
}

// sign signs the hash of manifest. The same input gives the same octets.
func (s Signer) sign(manifest []byte, version string) []byte {
	r := minisign.NewReader(bytes.NewReader(manifest))
	_, _ = io.Copy(io.Discard, r) // of memory: it does not fail
	return r.SignWithComments(s.key, Image+" "+version, "signature of manifest.json")
}

// readSmall reads a key's file.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSignature+1))
	if err == nil && len(text) > maxSignature {
		err = fmt.Errorf("%s: over %d octets; is it a key?", path, maxSignature)
	}
	return text, err
}
