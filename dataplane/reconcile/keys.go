package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// reselect bounds the wait for a key's window: the wall clock may be set.
const reselect = time.Minute

// SeenStore keeps when the keys of each keychain were first seen.
type SeenStore interface {
	Load() (map[string]keychain.Seen, error)
	Save(map[string]keychain.Seen) error
}

// ring is a keychain in use.
type ring struct {
	cfg       config.Keychain
	source    Source
	stop      context.CancelFunc
	chain     *keychain.Keychain // nil until it could be read once
	selection keychain.Selection
	psks      keychain.PSKSelection
	chosen    string // what the two say, to tell a change
	err       error  // of the last reading
	sealed    bool   // chain is what was sealed; its source has not been read
}

func (r *Reconciler) loadSeen() {
	var err error
	if r.seen, err = r.o.Seen.Load(); err != nil {
		r.log.Warn("first-seen times of keys are lost; keys without not_before count as new", "error", err)
	}
	if r.seen == nil {
		r.seen = make(map[string]keychain.Seen)
	}
}

// follow has a ring for each keychain that a port or a tunnel uses, and none
// besides.
func (r *Reconciler) follow() {
	used := usedBy(r.cfg)
	for name, old := range r.rings {
		if c := r.cfg.Keychain(name); !used[name] || c == nil || !sameSource(*c, old.cfg) {
			old.stop()
			r.retain(old)
			delete(r.rings, name)
		}
	}
	r.kept.prune(r.cfg)
	for name := range used {
		c := r.cfg.Keychain(name)
		if c == nil || r.rings[name] != nil {
			continue
		}
		ctx, stop := context.WithCancel(r.ctx)
		n := &ring{cfg: *c, stop: stop}
		r.rings[name] = n
		if n.source, n.err = r.o.Source(*c); n.err != nil {
			r.log.Error("keychain cannot be used", "keychain", name, "error", n.err)
			r.startKept(n)
			continue
		}
		r.restore(n)
		tokens := n.source.Watch(ctx) // before Load: nothing is missed
		r.reread(name)
		go func() {
			for range tokens {
				select {
				case r.loaded <- name:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
}

func sameSource(a, b config.Keychain) bool {
	if a.Source != b.Source || a.Path != b.Path || (a.Vault == nil) != (b.Vault == nil) {
		return false
	}
	if a.Vault == nil {
		return true
	}
	v, w := *a.Vault, *b.Vault
	v.Rotation, w.Rotation = nil, nil // not how it is read
	return v == w
}

// reread reads a keychain. What cannot be read, holds no key or holds one
// that a port cannot use changes nothing.
func (r *Reconciler) reread(name string) {
	n := r.rings[name]
	if n == nil || n.source == nil {
		return
	}
	chain, err := r.read(r.cfg, n.source, name)
	if err != nil {
		r.keysFailed(n, err)
		r.startKept(n)
		return
	}
	if n.err != nil || n.sealed {
		if !errors.Is(n.err, keychain.ErrPending) || n.sealed {
			r.log.Info("keychain is usable again", "keychain", name)
		}
		n.err, n.sealed = nil, false
	}
	r.adopt(n, chain)
}

func (r *Reconciler) keysFailed(n *ring, err error) {
	if !errors.Is(err, keychain.ErrPending) && (n.err == nil || n.err.Error() != err.Error()) {
		what := "keychain cannot be used; the keys before it go on"
		if n.chain == nil {
			what = "keychain cannot be used; its ports stay unsecured"
		}
		for _, e := range each(err) {
			r.log.Error(what, "keychain", n.cfg.Name, "error", e)
		}
	}
	n.err = err
}

// read reads a keychain and holds it against c's ports.
func (r *Reconciler) read(c *config.Config, s Source, name string) (*keychain.Keychain, error) {
	chain, err := s.Load()
	if err == nil && chain.Len() == 0 {
		err = fmt.Errorf("keychain %s holds no key; add one with linkseal keys generate", name)
	}
	if err == nil {
		err = c.CheckKeys(map[string]*keychain.Keychain{name: chain}).Err()
	}
	if err != nil {
		if chain != nil {
			chain.Zero()
		}
		return nil, err
	}
	return chain, nil
}

// adopt puts chain in the place of n's and gives it to the sessions.
func (r *Reconciler) adopt(n *ring, chain *keychain.Keychain) {
	r.kept.drop(n.cfg)
	name := n.cfg.Name
	seen := r.seen[name]
	if seen == nil {
		seen = make(keychain.Seen)
		r.seen[name] = seen
	}
	now := r.now()
	if seen.Mark(chain, now) {
		if err := r.o.Seen.Save(r.seen); err != nil {
			r.log.Error("first-seen times of keys cannot be kept; after a restart keys without not_before count as new", "error", err)
		}
	}
	if n.chain != nil && keychain.Equal(n.chain, chain) {
		for i := range chain.Keys {
			n.chain.Find(chain.Keys[i].CKN).Pinned = chain.Keys[i].Pinned
		}
		for i := range chain.PSKs {
			n.chain.FindPSK(chain.PSKs[i].ID).Version = chain.PSKs[i].Version
		}
		chain.Zero()
		return
	}
	for _, c := range keychain.Diff(n.chain, chain) {
		what := "key changed"
		switch {
		case c.Old == nil:
			what = "key added"
		case c.New == nil:
			what = "key removed"
		}
		r.log.Info(what, "keychain", name, "ckn", c.CKN().String())
	}
	r.tellPSKs(name, n.chain, chain)
	old := n.chain
	n.chain, n.chosen = chain, ""
	r.kept.dirty = r.kept.dirty || !n.sealed
	r.choose(n, now)
	if old != nil {
		old.Zero() // SetKeys keeps nothing of it
	}
}

// choose selects n's keys by time, and gives them to the sessions if they are
// others than before.
func (r *Reconciler) choose(n *ring, now time.Time) {
	if n.chain == nil {
		return
	}
	n.selection, n.psks = n.chain.Select(now), n.chain.SelectPSKs(now)
	chosen := "keys"
	for _, c := range n.selection.All {
		chosen += fmt.Sprintf(" %s=%s", c.CKN, c.State)
	}
	for _, c := range n.psks.All {
		chosen += fmt.Sprintf(" %q=%s", c.ID, c.State)
	}
	if chosen == n.chosen {
		return
	}
	n.chosen = chosen
	for _, p := range r.ports {
		if p.session != nil && p.cfg.Keychain == n.cfg.Name {
			p.session.SetKeys(n.selection)
		}
	}
	for _, t := range r.tunnels {
		t.setPSKs(r, n.cfg.Name)
	}
}

func (r *Reconciler) selectKeys() {
	now := r.now()
	for _, n := range r.rings {
		r.choose(n, now)
	}
}

// untilKeys is when a key enters or leaves its window next.
func (r *Reconciler) untilKeys() time.Duration {
	wait, now := reselect, r.now()
	for _, n := range r.rings {
		for _, next := range []time.Time{n.selection.Next, n.psks.Next} {
			if !next.IsZero() {
				wait = min(wait, next.Sub(now))
			}
		}
	}
	return max(wait, 0)
}

// each is the problems that err is made of.
func each(err error) []error {
	var problems strict.Problems
	if !errors.As(err, &problems) {
		return []error{err}
	}
	all := make([]error, len(problems))
	for i, p := range problems {
		all[i] = p
	}
	return all
}
