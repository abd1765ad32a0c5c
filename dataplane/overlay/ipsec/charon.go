package ipsec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/linux/netns"
)

// CharonOptions say which charon.
type CharonOptions struct {
	// Dir has its files, mode 0700: beside the control socket, on a file system
	// that is empty after a reboot.
	Dir string
	// Userspace: kernel-libipsec does ESP, of one tunnel.
	Userspace bool
	NS        *netns.NS    // nil: the process's own
	Log       *slog.Logger // nil: none
}

// Charon is linkseal's charon and what keeps it running. All Sessions share it.
type Charon struct {
	o       CharonOptions
	ownNS   bool // o.NS is ours to close
	log     *slog.Logger
	program string
	conf    string
	cancel  context.CancelFunc
	done    chan struct{}

	mu       sync.Mutex
	p        *process            // nil: it does not run
	why      string              // it does not run
	sessions map[string]*Session // by tunnel
	keys     map[string]int      // private keys by id: how many Sessions use each
	look     chan struct{}       // a token: what is established may have changed
	tags     *secret.Key         // see label
	owed     map[string][]string // keys by removed tunnel that charon is yet to forget

	settling sync.Mutex  // while charon forgets what is owed
	mute     atomic.Bool // it has not answered to that, and not since
}

// starting is why there is no charon yet.
const starting = "charon is starting"

const (
	lookEvery = 2 * time.Second
	// looks that may fail in a row before charon is taken for hung.
	looksFailed = 3
	minBackoff  = 100 * time.Millisecond
	maxBackoff  = 30 * time.Second
)

// NewCharon adopts the charon in o.Dir or starts one, and keeps it running: it
// does not wait for that. Without a program it is ErrNoCharon.
func NewCharon(o CharonOptions) (*Charon, error) {
	program, err := Program()
	if err != nil {
		return nil, err
	}
	return newCharon(o, program, settings(filepath.Base(program), o.Dir, o.Userspace))
}

func newCharon(o CharonOptions, program, conf string) (c *Charon, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	own := o.NS == nil
	if own {
		if o.NS, err = netns.Current(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	c = &Charon{
		o: o, ownNS: own, log: o.Log, program: program, conf: conf,
		cancel: cancel, done: make(chan struct{}),
		why:      starting,
		sessions: map[string]*Session{}, keys: map[string]int{}, owed: map[string][]string{}, look: make(chan struct{}, 1),
	}
	go c.keep(ctx)
	return c, nil
}

// Close lets go of charon, which goes on with all that it has established.
func (c *Charon) Close() error {
	c.cancel()
	<-c.done
	if c.ownNS {
		return c.o.NS.Close()
	}
	return nil
}

// Stop ends charon too, which tells its peers: for when no tunnel is left. Close
// is not needed after it.
func (c *Charon) Stop() error {
	if n := c.open(); n > 0 {
		return fmt.Errorf("charon: %d tunnels are open", n)
	}
	c.Close()
	return Stray(c.o.Dir)
}

// Stray ends a charon that an earlier linkseal left in dir, when no IPsec tunnel
// is configured any more. That there is none is no error.
func Stray(dir string) error {
	p, err := connect(dir)
	var hangs *strongswan.SilentError
	switch {
	case err == nil:
		p.end()
	case errors.As(err, &hangs): // it would go on with what is taken away, when it answers again
		if err := killHung(hangs.PID); err != nil {
			return fmt.Errorf("%w; %w", hangs, err)
		}
	}
	return nil
}

// prune takes away the connections of tunnels that are not in keep from the
// charon in dir. That there is none is no error.
func prune(dir string, keep []string) error {
	p, err := connect(dir)
	if err != nil {
		return nil // nothing is loaded in a charon that is not there
	}
	defer p.close()
	return sever(p.Client, func(tunnel string) bool { return !slices.Contains(keep, tunnel) })
}

// PID is charon's process; 0 while there is none.
func (c *Charon) PID() int {
	if p := c.process(); p != nil {
		return p.pid
	}
	return 0
}

func (c *Charon) process() *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.p
}

// state is charon for a Session: its client, or why there is none.
func (c *Charon) state() (*strongswan.Client, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.p == nil {
		return nil, c.why
	}
	return c.p.Client, ""
}

// open is how many Sessions there are.
func (c *Charon) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

// enter adds a Session; one a tunnel.
func (c *Charon) enter(s *Session) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := s.name
	if c.sessions[name] != nil {
		return fmt.Errorf("tunnel %s is open", name)
	}
	if c.o.Userspace && len(c.sessions) > 0 {
		return fmt.Errorf("tunnel %s: IPsec in user space is taken by another tunnel: charon has one tun", name)
	}
	c.sessions[name] = s
	return nil
}

func (c *Charon) leave(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[s.name] == s {
		delete(c.sessions, s.name)
	}
}

// each calls f for every Session.
func (c *Charon) each(f func(*Session)) {
	c.mu.Lock()
	all := make([]*Session, 0, len(c.sessions))
	for _, s := range c.sessions {
		all = append(all, s)
	}
	c.mu.Unlock()
	for _, s := range all {
		f(s)
	}
}

// glance asks for a look at what is established, now.
func (c *Charon) glance() {
	select {
	case c.look <- struct{}{}:
	default:
	}
}

// keep keeps charon running until ctx ends.
func (c *Charon) keep(ctx context.Context) {
	defer close(c.done)
	backoff := minBackoff
	silent := 0
	for ctx.Err() == nil {
		p, err := adopt(c.o.Dir, c.conf)
		how := "adopted"
		// One that hangs has the ports: beside it no other is of use.
		var hangs *strongswan.SilentError
		if errors.As(err, &hangs) {
			if silent++; silent >= looksFailed {
				c.log.Error("charon hangs, and is killed", "pid", hangs.PID)
				silent = 0
				if e := killHung(hangs.PID); e != nil {
					err = fmt.Errorf("%w; %w", err, e)
				} else {
					err = fmt.Errorf("%w; it was killed, and another is started", err)
				}
			}
		} else if err != nil {
			how = "started"
			p, err = start(c.program, c.o.Dir, c.conf, c.o.NS)
		}
		if err == nil && p != nil {
			switch err = p.fit(ctx, c.o.Userspace); {
			case errors.Is(err, errLacks):
				p.end()
			case err != nil: // it may carry traffic
				if silent++; silent >= looksFailed {
					p.kill()
				}
				p.close()
			default:
				silent = 0
			}
		}
		if err != nil {
			c.log.Error("charon does not run", "error", err)
			c.set(nil, err.Error())
		} else {
			c.log.Info("charon runs", "how", how, "pid", p.pid, "dir", c.o.Dir)
			since := time.Now()
			if c.o.Userspace {
				if err := p.deepen(); err != nil {
					c.log.Warn("charon's sockets keep the room that the kernel gives: a busy machine may lose packets", "error", err)
				}
			}
			c.readTags()
			c.set(p, "")
			hung := c.serve(ctx, p)
			c.set(nil, "charon has ended and is started again")
			if hung {
				p.kill()
			}
			p.close()
			if ctx.Err() != nil {
				return
			}
			c.log.Error("charon has ended", "pid", p.pid, "hung", hung)
			if time.Since(since) > maxBackoff {
				backoff = minBackoff
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// set tells all Sessions whether charon runs.
func (c *Charon) set(p *process, why string) {
	c.mute.Store(false)
	c.mu.Lock()
	c.p, c.why = p, why
	c.mu.Unlock()
	c.each((*Session).charonChanged)
}
