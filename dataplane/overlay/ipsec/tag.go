package ipsec

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
	"github.com/linkseal/linkseal/linux/durable"
)

// A PSK is called ID#TAG in charon and in what decides on its change: TAG is of
// its octets. So other octets under the same id are another PSK, also where they
// came while no linkseal ran, and are changed for as any other, make before
// break.
//
// A text may be a word: whoever has its hash may search for it. So TAG is keyed
// by tagKey, which is random, and is where the PSKs themselves are: beside the
// socket of the charon that has them, of mode 0600, and gone with them after a
// reboot. Without it, or with another, all tags differ, and all is authenticated
// anew.
const (
	tagFile   = "tags.key"
	tagKeyLen = 32
	tagLen    = 8 // octets of a tag
)

// tagKey is that of the charon in dir; one is made if there is none.
func tagKey(dir string) (*secret.Key, error) {
	path := filepath.Join(dir, tagFile)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err == nil {
		defer f.Close()
		b := make([]byte, tagKeyLen+1)
		n, err := io.ReadFull(f, b)
		defer clear(b)
		if n == tagKeyLen && err == io.ErrUnexpectedEOF {
			return secret.New(b[:n]), nil
		}
	}
	k, err := secret.Random(rand.Reader, tagKeyLen)
	if err != nil {
		return nil, err
	}
	b := bytes.Clone(k.Bytes())
	defer clear(b)
	return k, durable.Write(path, b)
}

// tag is of a PSK's octets, in hex.
func tag(key, psk *secret.Key) (t string) {
	erase.Do(func() {
		h := hmac.New(sha256.New, key.Bytes())
		h.Write(psk.Bytes())
		t = hex.EncodeToString(h.Sum(nil)[:tagLen])
	})
	runtime.KeepAlive(key)
	runtime.KeepAlive(psk)
	return t
}

// label is what a PSK of the keychain is called; of a certificate, its version.
func (s *Session) label(p *keychain.PSK) string {
	if s.t.IPsec.Auth != config.AuthPSK {
		return p.ID
	}
	return p.ID + "#" + tag(s.c.tagging(), p.Secret)
}

// labelled is the PSK or version of that label; nil if it is not in the keychain.
func (s *Session) labelled(label string) *keychain.PSK {
	for _, p := range s.psks {
		if s.label(p.PSK) == label {
			return p.PSK
		}
	}
	return nil
}

// plain is the id in a label.
func (s *Session) plain(label string) string {
	if i := strings.LastIndexByte(label, '#'); i >= 0 && s.t.IPsec.Auth == config.AuthPSK {
		return label[:i]
	}
	return label
}

// replaced tells that the keychain has other octets under the id in a label.
func (s *Session) replaced(label string) bool {
	id := s.plain(label)
	for _, p := range s.psks {
		if p.ID == id {
			return s.label(p.PSK) != label
		}
	}
	return false
}

// told is a label in words.
func (s *Session) told(label string) string {
	if s.replaced(label) {
		return fmt.Sprintf("%s, as it was before it was replaced", s.plain(label))
	}
	return s.plain(label)
}

// tagging is the key of tags.
func (c *Charon) tagging() *secret.Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tags
}

// readTags takes the key of tags of the charon that has been found or started.
// Where it cannot be kept, it is this process's alone.
func (c *Charon) readTags() {
	k, err := tagKey(c.o.Dir)
	if err != nil {
		c.log.Warn("all IPsec tunnels with a PSK will be authenticated anew after the next start", "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k != nil {
		c.tags = k
	}
}
