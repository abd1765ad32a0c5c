package ipsec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
)

const (
	// reload is how long we wait before we give charon again what it did not take.
	reload = 5 * time.Second
	// A charon that is younger than young may have no tun yet: we look again soon.
	young = time.Second
	soon  = 50 * time.Millisecond
)

// secretID is what a PSK of the tunnel is called in charon, by its label.
func secretID(tunnel, label string) string { return conn.Prefix + tunnel + "/" + label }

// load gives charon all that it needs of this tunnel. What it has it replaces,
// and nothing that is established ends by it.
func (s *Session) load(now time.Time) {
	if s.client == nil || s.loaded || now.Before(s.retry) {
		return
	}
	if err := s.give(); err != nil {
		s.notTaken(now, err)
		return
	}
	s.loaded, s.wrong, s.given = true, "", time.Now()
	s.c.glance()
}

// notTaken plans when it is tried again.
func (s *Session) notTaken(now time.Time, err error) {
	s.retry, s.wrong = now.Add(reload), err.Error()
	if errors.Is(err, errNoTun) && now.Sub(s.met) < young {
		s.retry = now.Add(soon)
		return
	}
	if !errors.Is(err, context.Canceled) { // else the Session is closed
		s.log.Error("charon does not take the tunnel", "error", err)
	}
}

func (s *Session) give() error {
	if s.place.Userspace {
		name, err := ownTun(s.c.o.NS, s.client.PID(), s.name)
		if err != nil {
			return err
		}
		s.members[0].iface = name
	}
	if err := s.c.settle(s.client, s.name); err != nil {
		return err
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
// before us, and loads those again that we have: the peers may be others. One
// whose octets have been replaced meanwhile is not ours any more.
func (s *Session) adoptSecrets() error {
	have, err := s.client.Secrets()
	if err != nil {
		return err
	}
	var labels []string // the last loaded is the first that charon lists
	for _, id := range slices.Backward(have) {
		if label, ours := strings.CutPrefix(id, secretID(s.name, "")); ours {
			labels = append(labels, label)
		}
	}
	if len(labels) == 0 {
		s.keys.Lost()
		return nil
	}
	for _, label := range labels {
		if err := s.loadSecret(label); err != nil && !errors.Is(err, errNoPSK) {
			return err
		}
	}
	s.keys.Adopt(labels)
	return nil
}

var errNoPSK = errors.New("it is not in the keychain")

// loadSecret loads the PSK of that label for the remote identities of all
// members.
func (s *Session) loadSecret(label string) error {
	p := s.labelled(label)
	if p == nil {
		return fmt.Errorf("PSK %s: %w", s.plain(label), errNoPSK)
	}
	var owners []string
	for _, m := range s.members {
		_, remote := conn.Identities(s.t, m.n)
		owners = append(owners, remote)
	}
	return s.client.LoadSecret(secretID(s.name, label), owners, p.Secret)
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
