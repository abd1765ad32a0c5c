package ipsec

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// A vault's certificate comes as a keychain: each version is in the place of a
// PSK, and is changed for the next as a PSK is, make before break. Only our side
// of it changes, and charon shows one: that of the connection.

// readFiles gives charon the key of this end that is in a file.
func (s *Session) readFiles() error {
	pair, err := readCertificate(s.t.IPsec)
	if err != nil {
		return fmt.Errorf("tunnel %s: %w", s.name, err)
	}
	defer pair.zero() // charon has it, or we read it again
	id, err := s.client.LoadPrivateKey(pair.key)
	if err != nil {
		return err
	}
	changed := s.pair != nil && (!bytes.Equal(s.pair.own, pair.own) || s.keyID != id) // one file after the other
	s.pair = pair
	if changed {
		s.post(s.showAnew)
	}
	if old := s.keyID; old != id {
		s.c.useKey(id)
		s.keyID = id
		return s.c.dropKey(s.client, old)
	}
	return nil
}

// reread has files read again that have changed.
func (s *Session) reread() {
	if s.loaded && s.stamp() != s.stamped {
		s.loaded, s.retry = false, time.Time{}
	}
}

// stamp tells a change of the files of certificates; "" where there are none.
func (s *Session) stamp() string {
	if s.t.IPsec.Auth != config.AuthCertificate {
		return ""
	}
	var all strings.Builder
	for _, path := range []string{s.t.IPsec.Certificate, s.t.IPsec.PrivateKey, s.t.IPsec.CA} {
		if i, err := os.Stat(path); err == nil {
			fmt.Fprintln(&all, i.ModTime().UnixNano(), i.Size(), i.Sys().(*syscall.Stat_t).Ino)
		}
	}
	return all.String()
}

// showAnew has the peer see the certificate that is in the file now.
func (s *Session) showAnew() {
	for _, m := range s.members {
		if s.client == nil || !s.loaded || !m.up() {
			continue // it is shown when it comes up
		}
		s.log.Info("authenticating anew under the certificate that is in its file now", "connection", m.name)
		if err := s.renew(m); err != nil {
			s.log.Warn("the tunnel cannot be made anew", "connection", m.name, "error", err)
		}
	}
}

// adoptCertificates finds which keys of the keychain's versions charon has, from
// a linkseal before us, and shows the last of them.
func (s *Session) adoptCertificates() error {
	have, err := s.client.Keys()
	if err != nil {
		return err
	}
	var ids []string
	for _, p := range slices.Backward(s.psks) { // the preferred last
		pair, err := s.bundle(p.PSK)
		if err != nil {
			return err
		}
		id, err := s.client.LoadPrivateKey(pair.key)
		pair.zero()
		if err != nil {
			return err
		}
		if !slices.Contains(have, id) {
			if err := s.client.UnloadKey(id); err != nil {
				return err
			}
			continue
		}
		s.hold(p.ID, id)
		s.pair = pair
		ids = append(ids, p.ID)
	}
	if len(ids) == 0 {
		s.pair = nil
		s.keys.Lost()
		return nil
	}
	s.keys.Adopt(ids)
	return nil
}

// loadCertificate has charon show the version of that id from now on.
func (s *Session) loadCertificate(id string) error {
	i := slices.IndexFunc(s.psks, func(p keychain.PSKChoice) bool { return p.ID == id })
	if i < 0 {
		return fmt.Errorf("version %s of the certificate: %w", id, errNoPSK)
	}
	pair, err := s.bundle(s.psks[i].PSK)
	if err != nil {
		return err
	}
	defer pair.zero()
	key, err := s.client.LoadPrivateKey(pair.key)
	if err != nil {
		return err
	}
	s.hold(id, key)
	s.pair = pair
	return s.connect()
}

// hold counts the key of a version; two versions may have one.
func (s *Session) hold(version, key string) {
	if s.held[version] == key {
		return
	}
	if s.held == nil {
		s.held = map[string]string{}
	}
	s.held[version] = key
	s.c.useKey(key)
}

func (s *Session) unloadCertificate(version string) error {
	key := s.held[version]
	delete(s.held, version)
	return s.c.dropKey(s.client, key)
}

// keyBegins is where the certificates of a keychain.PSK end.
var keyBegins = []byte("-----BEGIN PRIVATE KEY-----")

// bundle takes a version apart. The caller zeroes the key.
func (s *Session) bundle(p *keychain.PSK) (*certificate, error) {
	cas, err := readCAs(s.t.IPsec)
	if err != nil {
		return nil, fmt.Errorf("tunnel %s: %w", s.name, err)
	}
	b := p.Secret.Bytes()
	at := bytes.Index(b, keyBegins)
	if !p.Certificate || at < 0 {
		return nil, fmt.Errorf("tunnel %s: %s of keychain %s is no certificate with its private key", s.name, p.ID, s.t.IPsec.Keychain)
	}
	own := certificatesIn(b[:at])
	if len(own) == 0 {
		return nil, fmt.Errorf("tunnel %s: %s of keychain %s has no certificate", s.name, p.ID, s.t.IPsec.Keychain)
	}
	return &certificate{own: own[0], issuers: own[1:], cas: cas, key: secret.New(bytes.Clone(b[at:]))}, nil
}
