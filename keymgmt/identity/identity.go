// Package identity keeps the private key of this end of a WireGuard tunnel: an
// X25519 key in a file of its own, made where it is to be used, and never shown.
// Others are told the public key.
//
// A file that is made here has the key sealed (keymgmt/sealed), so that it is
// worth nothing on another machine:
//
//	linkseal: wireguard private key
//	public: BASE64
//	sealed: tpm | credential | file
//	key: BASE64 of what the sealer made of it
//
// One that somebody else puts there may be wg(8)'s: the key's 32 octets in
// base64, and a line feed. Either is refused if others than its owner may read
// it.
//
// One that was sealed with another sealer than keys now are, as before the machine
// had a TPM, is opened with that one, and sealed anew.
//
// What is sealed to a TPM's PCRs opens only while these have their values, and
// then the tunnel has no key: as with a disk that is lost, a new one has to be
// made, and the other end told.
package identity

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/sealed"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
	"github.com/linkseal/linkseal/linux/durable"
)

// Size of a key, either one, in octets.
const Size = 32

// Public is a public key.
type Public [Size]byte

// String is base64, as wg(8) has it.
func (p Public) String() string { return base64.StdEncoding.EncodeToString(p[:]) }

// ParsePublic is the inverse of String.
func ParsePublic(text string) (p Public, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != Size {
		return p, fmt.Errorf("public key %q; accepted: %d octets in base64", text, Size)
	}
	return Public(b), nil
}

// Pair is a private key with its public one.
type Pair struct {
	Private *secret.Key
	Public  Public
	// Stays is why the file is still sealed with another sealer than keys now are;
	// nil: it is not.
	Stays error
}

// Sealers are what keys are sealed with.
type Sealers struct {
	// Now seals what is made; nil: nothing is sealed.
	Now sealed.Sealer
	// Named is one that a key may have been sealed with before; nil: there is none.
	Named func(name string) (sealed.Sealer, error)
}

// named is the sealer that a file names.
func (s Sealers) named(name string) (sealed.Sealer, error) {
	switch {
	case s.Now != nil && s.Now.Name() == name:
		return s.Now, nil
	case s.Named == nil:
		return nil, errors.New("there is nothing to open it with")
	}
	return s.Named(name)
}

// making lets one key be made at a time: tunnels may share a file.
var making sync.Mutex

// Open reads the key in path. If nothing is there it makes one, sealed with
// s.Now, and says so; its folder must be there. The caller zeroes the private key.
func Open(path string, s Sealers) (p *Pair, made bool, err error) {
	making.Lock()
	defer making.Unlock()
	if p, err = read(path, s); errors.Is(err, fs.ErrNotExist) {
		p, err = create(path, s.Now)
		made = err == nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("WireGuard private key: %w", err)
	}
	return p, made, nil
}

// ReadPublic is the public key of what is in path, which is not unsealed. If
// nothing is there the error is fs.ErrNotExist, wrapped.
func ReadPublic(path string) (Public, error) {
	f, err := load(path)
	if err != nil {
		return Public{}, fmt.Errorf("WireGuard private key: %w", err)
	}
	defer f.key.Zero()
	return f.public, nil
}

func read(path string, s Sealers) (p *Pair, err error) {
	f, err := load(path)
	if err != nil {
		return nil, err
	}
	if f.key != nil {
		return &Pair{Private: f.key, Public: f.public}, nil
	}
	was, err := s.named(f.sealer)
	if err != nil {
		return nil, fmt.Errorf("%s is sealed with: %s: %w; repair that, or remove the file: then a new key is made, whose public key the other end has to be told", path, f.sealer, err)
	}
	key, err := was.Unseal(f.blob)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be opened: %w; if that stays, remove the file: then a new key is made, whose public key the other end has to be told", path, err)
	}
	public, err := publicOf(key)
	if err == nil && public != f.public {
		err = errors.New("it is another key than its public key says")
	}
	if err != nil {
		key.Zero()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p = &Pair{Private: key, Public: public}
	if s.Now != nil && s.Now != was {
		p.Stays = reseal(path, p, s.Now)
	}
	return p, nil
}

// reseal replaces the file by one that s seals, and that s has opened again.
func reseal(path string, p *Pair, s sealed.Sealer) error {
	text, err := sealedText(path, p.Private, p.Public, s)
	if err != nil {
		return err
	}
	f, err := parse(text)
	if err != nil {
		return err
	}
	again, err := s.Unseal(f.blob)
	if err != nil {
		return fmt.Errorf("%s: what is sealed with: %s does not open again: %w", path, s.Name(), err)
	}
	defer again.Zero()
	if !again.Equal(p.Private) {
		return fmt.Errorf("%s: what is sealed with: %s opens as another key", path, s.Name())
	}
	return durable.Write(path, text)
}

func sealedText(path string, key *secret.Key, public Public, s sealed.Sealer) ([]byte, error) {
	blob, err := s.Seal(key)
	if err != nil {
		return nil, fmt.Errorf("%s is to be sealed with: %s: %w", path, s.Name(), err)
	}
	return stored{public: public, sealer: s.Name(), blob: blob}.text(), nil
}

func create(path string, s sealed.Sealer) (p *Pair, err error) {
	key, err := secret.Random(rand.Reader, Size)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			key.Zero()
		}
	}()
	// As wg genkey does (RFC 7748 5): so that the octets are the same to all.
	b := key.Bytes()
	b[0] &= 248
	b[31] = b[31]&127 | 64
	public, err := publicOf(key)
	if err != nil {
		return nil, err
	}
	var text []byte
	if s == nil {
		erase.Do(func() { text = append(base64.StdEncoding.AppendEncode(nil, key.Bytes()), '\n') })
		defer clear(text)
	} else if text, err = sealedText(path, key, public, s); err != nil {
		return nil, err
	}
	if err := durable.Write(path, text); err != nil {
		return nil, err
	}
	return &Pair{Private: key, Public: public}, nil
}

// publicOf computes the public key.
func publicOf(key *secret.Key) (p Public, err error) {
	erase.Do(func() {
		var k *ecdh.PrivateKey
		if k, err = ecdh.X25519().NewPrivateKey(key.Bytes()); err == nil {
			copy(p[:], k.PublicKey().Bytes())
		}
	})
	return p, err
}

// load reads and parses the file.
func load(path string) (f stored, err error) {
	data, err := file.Read(path)
	if err != nil {
		return f, err
	}
	defer clear(data)
	if bytes.HasPrefix(data, []byte(magic)) {
		f, err = parse(data)
	} else {
		f, err = plain(data)
	}
	if err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}
