package ipsec

import (
	"errors"
	"sync"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
)

// Runner has a charon while there are tunnels of IPsec, and opens them. It is
// safe for concurrent use.
type Runner struct {
	o CharonOptions

	mu sync.Mutex
	c  *Charon // nil: none
}

// NewRunner returns a Runner; o.Userspace is as the tunnels say.
func NewRunner(o CharonOptions) *Runner { return &Runner{o: o} }

// Open is ipsec.Open, with a charon of the dataplane that p says.
func (r *Runner) Open(t config.Tunnel, p overlay.Place) (overlay.Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c != nil && r.c.o.Userspace != p.Userspace && r.c.open() == 0 {
		r.c.Stop()
		r.c = nil
	}
	if r.c == nil {
		o := r.o
		o.Userspace = p.Userspace
		c, err := NewCharon(o)
		if err != nil {
			return nil, err
		}
		r.c = c
	}
	s, err := Open(r.c, t, p, Options{Log: r.o.Log})
	if err != nil {
		return nil, err
	}
	return &opened{s, r}, nil
}

// opened is a Session whose Remove ends charon after the last.
type opened struct {
	*Session
	r *Runner
}

// Remove is overlay.Session's.
func (o *opened) Remove() error {
	err := o.Session.Remove()
	return errors.Join(err, o.r.idle())
}

// idle ends charon if it has no tunnel left.
func (r *Runner) idle() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil || r.c.open() > 0 {
		return nil
	}
	err := r.c.Stop()
	r.c = nil
	return err
}

// Configured tells which tunnels of IPsec there are: what a linkseal that was
// killed left of others is taken away, and charon too where there is none.
func (r *Runner) Configured(tunnels []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(tunnels) > 0 {
		return prune(r.o.Dir, tunnels)
	}
	if r.c == nil {
		return Stray(r.o.Dir)
	}
	return nil // Remove ends it
}

// Close lets go of charon, which goes on.
func (r *Runner) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil {
		return nil
	}
	err := r.c.Close()
	r.c = nil
	return err
}

// PID is charon's process; 0 while there is none.
func (r *Runner) PID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil {
		return 0
	}
	return r.c.PID()
}
