package ipsec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
)

const (
	// removePatience is how long the peers of all that ends are waited for.
	removePatience = 2 * time.Second
	// removeTime is how long charon may take for all of a removal: a reload waits for
	// it, and nothing tells the service manager meanwhile that the daemon lives.
	removeTime = 5 * time.Second
)

// errMute: one removal has waited for charon already, and the next need not.
var errMute = errors.New("charon does not answer; it forgets the tunnel when it does")

// Remove is overlay.Session's: the peer is told, what is established ends, and
// charon forgets the tunnel. A charon that does not answer forgets it when it does,
// or ends; the kernel forgets it now.
func (s *Session) Remove() error {
	s.Close()
	s.c.letGo(s)
	client, _ := s.c.state()
	if client == nil {
		return s.clear() // of a charon that is gone
	}
	err := s.c.settle(client, s.name)
	if err != nil || slices.ContainsFunc(s.members, func(m *member) bool { return len(m.orphans) > 0 }) {
		err = errors.Join(err, s.clear())
	}
	return err
}

// letGo has the tunnel of a Session that is closed owed by charon: to be forgotten,
// with the private keys that nobody else uses.
func (c *Charon) letGo(s *Session) {
	ids := slices.Collect(maps.Values(s.held))
	if s.keyID != "" {
		ids = append(ids, s.keyID)
	}
	s.held, s.keyID = nil, ""
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if c.keys[id]--; c.keys[id] <= 0 {
			delete(c.keys, id)
		}
	}
	c.owed[s.name] = append(c.owed[s.name], ids...)
}

func (c *Charon) owes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.owed) > 0
}

// settleAll has charon, which answers again, forget what it still has of tunnels
// that were removed meanwhile, and are not open anew.
func (c *Charon) settleAll(client *strongswan.Client) {
	c.mu.Lock()
	var names []string
	for name := range c.owed {
		if c.sessions[name] == nil {
			names = append(names, name)
		}
	}
	c.mu.Unlock()
	for _, name := range names {
		if err := c.settle(client, name); err != nil {
			c.log.Warn("charon does not forget a tunnel that was removed", "tunnel", name, "error", err)
			return
		}
	}
}

// settle has charon forget the tunnel if that is owed: before it is opened anew, for
// what charon takes for established the kernel may not have any more.
func (c *Charon) settle(client *strongswan.Client, name string) error {
	c.settling.Lock()
	defer c.settling.Unlock()
	c.mu.Lock()
	keys, owed := c.owed[name]
	keys = slices.DeleteFunc(slices.Clone(keys), func(id string) bool { return c.keys[id] > 0 })
	c.mu.Unlock()
	if !owed {
		return nil
	}
	if c.mute.Load() {
		return errMute
	}
	err := sever(client, func(tunnel string) bool { return tunnel == name }, keys...)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			c.mute.Store(true)
		}
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.owed, name)
	return nil
}

// sever takes connections, what is established and PSKs of the tunnels that gone
// names from charon, and private keys. All peers are told at once and waited for
// together; what has not ended then ends without them. It takes removeTime at the
// most, and asks nothing more of a charon that has not answered.
func sever(client *strongswan.Client, gone func(tunnel string) bool, keys ...string) (err error) {
	ctx, cancel := context.WithTimeout(client.Context(), removeTime)
	defer cancel()
	c := client.Until(ctx)
	defer func() {
		if ctx.Err() != nil && err != nil {
			err = fmt.Errorf("charon has not answered within %v: %w", removeTime, ctx.Err())
		}
	}()
	ours := func(connection string) bool {
		tunnel, _, ok := conn.Tunnel(connection)
		return ok && gone(tunnel)
	}
	have, err := c.Connections()
	if err != nil {
		return err
	}
	for _, name := range have {
		if ours(name) {
			err = errors.Join(err, c.UnloadConnection(name))
		}
	}
	each := func(f func(id uint32) error) (left bool) {
		sas, e := c.SAs()
		err = errors.Join(err, e)
		for _, sa := range sas {
			if ours(sa.Connection) {
				left = true
				err = errors.Join(err, f(sa.ID))
			}
		}
		return left
	}
	look := func(uint32) error { return nil }
	left := each(c.Part)
	for until := time.Now().Add(removePatience); left && ctx.Err() == nil && time.Now().Before(until); left = each(look) {
		time.Sleep(20 * time.Millisecond)
	}
	if left {
		each(c.TerminateID)
	}
	return errors.Join(err, unloadSecrets(c, gone), unloadKeys(c, keys))
}

// unloadSecrets forgets the PSKs of the tunnels that gone names.
func unloadSecrets(c *strongswan.Client, gone func(tunnel string) bool) error {
	have, err := c.Secrets()
	for _, id := range have {
		name, ours := strings.CutPrefix(id, conn.Prefix)
		tunnel, _, is := strings.Cut(name, "/")
		if ours && is && gone(tunnel) {
			err = errors.Join(err, c.UnloadSecret(id))
		}
	}
	return err
}

func unloadKeys(c *strongswan.Client, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	have, err := c.Keys()
	for _, id := range keys {
		if slices.Contains(have, id) {
			err = errors.Join(err, c.UnloadKey(id))
			have = slices.DeleteFunc(have, func(k string) bool { return k == id })
		}
	}
	return err
}
