package ipsec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
)

// reload is how long we wait before we give charon again what it did not take.
const reload = 5 * time.Second

// secretID is what a PSK of the tunnel is called in charon.
func secretID(tunnel, id string) string { return conn.Prefix + tunnel + "/" + id }

// load gives charon all that it needs of this tunnel. What it has it replaces,
// and nothing that is established ends by it.
func (s *Session) load(now time.Time) {
	if s.client == nil || s.loaded || now.Before(s.retry) {
		return
	}
	s.retry = now.Add(reload)
	if err := s.give(); err != nil {
		s.log.Error("charon does not take the tunnel", "error", err)
		s.wrong = err.Error()
		return
	}
	s.loaded, s.wrong, s.given = true, "", time.Now()
	s.c.glance()
}

func (s *Session) give() error {
	if s.place.Userspace {
		name, err := ownTun(s.c.o.NS, s.client.PID(), s.name)
		if err != nil {
			return err
		}
		s.members[0].iface = name
	}
	s.stamped = s.stamp()
	var err error
	switch {
	case s.t.IPsec.Auth == config.AuthPSK:
		err = s.adoptSecrets()
	case s.keyed():
		if err = s.adoptCertificates(); err == nil && s.pair == nil {
			return nil // there is none yet, and a connection shows one
		}
	default:
		err = s.readFiles()
	}
	if err != nil {
		return err
	}
	return s.connect()
}

// connect gives charon the members' connections.
func (s *Session) connect() error {
	for _, m := range s.members {
		section, err := conn.Build(s.input(m))
		if err != nil {
			return err
		}
		if err := s.client.LoadConnection(section); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) input(m *member) conn.Input {
	in := conn.Input{Tunnel: s.t, Member: m.n, Userspace: s.place.Userspace, Kept: len(m.orphans) > 0}
	if s.pair != nil {
		in.Certificate, in.Issuers, in.CA = s.pair.own, s.pair.issuers, s.pair.cas
	}
	return in
}

// adoptSecrets finds which PSKs charon has of this tunnel, from a linkseal
// before us, and loads those again that we have: their octets may be others.
func (s *Session) adoptSecrets() error {
	have, err := s.client.Secrets()
	if err != nil {
		return err
	}
	var ids []string // the last loaded is the first that charon lists
	for _, id := range slices.Backward(have) {
		if id, ours := strings.CutPrefix(id, secretID(s.name, "")); ours {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		s.keys.Lost()
		return nil
	}
	for _, id := range ids {
		if err := s.loadSecret(id); err != nil && !errors.Is(err, errNoPSK) {
			return err
		}
	}
	s.keys.Adopt(ids)
	return nil
}

var errNoPSK = errors.New("it is not in the keychain")

// loadSecret loads the PSK of that id for the remote identities of all members.
func (s *Session) loadSecret(id string) error {
	for _, p := range s.psks {
		if p.ID != id {
			continue
		}
		var owners []string
		for _, m := range s.members {
			_, remote := conn.Identities(s.t, m.n)
			owners = append(owners, remote)
		}
		return s.client.LoadSecret(secretID(s.name, id), owners, p.Secret)
	}
	return fmt.Errorf("PSK %s: %w", id, errNoPSK)
}

// unloadSecrets forgets the PSKs of a tunnel, all or those in only.
func unloadSecrets(c *strongswan.Client, tunnel string, only []string) error {
	have, err := c.Secrets()
	if err != nil {
		return err
	}
	for _, id := range have {
		name, ours := strings.CutPrefix(id, secretID(tunnel, ""))
		if ours && (only == nil || slices.Contains(only, name)) {
			err = errors.Join(err, c.UnloadSecret(id))
		}
	}
	return err
}

// useKey counts a Session that uses a private key; several may have one file.
func (c *Charon) useKey(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[id]++
}

// dropKey has charon forget a private key that no Session uses any more; "" is
// none.
func (c *Charon) dropKey(client *strongswan.Client, id string) error {
	if id == "" {
		return nil
	}
	c.mu.Lock()
	c.keys[id]--
	last := c.keys[id] <= 0
	if last {
		delete(c.keys, id)
	}
	c.mu.Unlock()
	if !last {
		return nil
	}
	return client.UnloadKey(id)
}
