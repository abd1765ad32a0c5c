package ipsec

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/diagnose"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/rotation"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// Options of a Session.
type Options struct {
	Log   *slog.Logger  // nil: none
	proof time.Duration // of tests; 0: proof
}

// Session is a tunnel of IPsec, running: see overlay.Session.
type Session struct {
	c      *Charon
	name   string     // of the tunnel
	remote netip.Addr // of the tunnel
	log    *slog.Logger

	wake chan struct{}
	quit chan struct{}
	// asking ends what charon is asked by run, and giveUp ends it.
	asking context.Context
	giveUp context.CancelFunc
	done   chan struct{}
	once   sync.Once

	changed chan struct{}

	mu    sync.Mutex
	queue []func() // for run
	view  overlay.View

	// What follows is run's alone.
	t       config.Tunnel
	place   overlay.Place
	psks    []keychain.PSKChoice // our clones, in order of preference
	handed  bool                 // SetPSKs has been, with none perhaps
	keys    rotation.State
	pair    *certificate       // of auth: certificate
	keyID   string             // of its key in charon, where that is a file
	stamped string             // the files as they were when they were read
	held    map[string]string  // keys in charon of a vault's certificate, by version
	charon  *strongswan.Client // nil: none
	client  *strongswan.Client // the same, while asking goes on
	met     time.Time          // when it became ours
	loaded  bool               // all that charon needs of us
	given   time.Time          // when charon last took something
	lost    time.Time
	wrong   string // why charon did not take it
	retry   time.Time
	members []*member
	known   bool // charon has said what is established
	opened  time.Time
	proof   time.Duration
}

// Open loads the tunnel into charon, adopts what is established of it, and
// keeps it so. It does not wait.
func Open(c *Charon, t config.Tunnel, p overlay.Place, o Options) (*Session, error) {
	if t.IPsec == nil {
		return nil, fmt.Errorf("tunnel %s is not of type ipsec", t.Name)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if p.Userspace != c.o.Userspace {
		return nil, fmt.Errorf("tunnel %s: charon does ESP %s, this tunnel wants it %s: one charon does one; the same dataplane for all IPsec tunnels", t.Name, where(c.o.Userspace), where(p.Userspace))
	}
	now := time.Now()
	s := &Session{
		c: c, name: t.Name, remote: t.Remote, log: o.Log.With("tunnel", t.Name),
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), changed: make(chan struct{}, 1),
		t: t, place: p, opened: now, proof: cmp.Or(o.proof, proof),
	}
	s.asking, s.giveUp = context.WithCancel(context.Background())
	for n := range t.Count {
		m := newMember(t, n)
		if n < len(p.Members) {
			m.iface = p.Members[n].Interface
		}
		if p.Userspace {
			m.iface = "" // charon's tun, when it is there
		}
		// Both ends start what is not there; so as not to make everything twice,
		// the end of the greater address leaves the other the first word.
		if t.Remote.Less(t.Local) {
			m.next = now.Add(secondWord)
		}
		s.members = append(s.members, m)
	}
	if _, err := conn.Build(s.input(s.members[0])); err != nil {
		return nil, err
	}
	s.show(now)
	if err := c.enter(s); err != nil {
		return nil, err
	}
	go s.run()
	s.charonChanged()
	return s, nil
}

func where(userspace bool) string {
	if userspace {
		return "in user space"
	}
	return "in the kernel"
}

// run is the one goroutine that touches what is below.
func (s *Session) run() {
	defer close(s.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-s.wake:
		case <-timer.C:
		}
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		s.mu.Unlock()
		for _, f := range queue {
			f()
		}
		now := time.Now()
		next := s.step(now)
		s.show(now)
		timer.Reset(min(max(time.Until(next), 10*time.Millisecond), time.Hour))
	}
}

// post has f run soon.
func (s *Session) post(f func()) {
	s.mu.Lock()
	s.queue = append(s.queue, f)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// SetPSKs is overlay.Session's.
func (s *Session) SetPSKs(sel keychain.PSKSelection) {
	clones := make([]keychain.PSKChoice, len(sel.All))
	for i, p := range sel.All {
		k := *p.PSK
		k.Secret = p.Secret.Clone()
		clones[i] = keychain.PSKChoice{PSK: &k, State: p.State}
	}
	s.post(func() { s.setPSKs(clones) })
}

// setPSKs replaces the clones. What is loaded and not in the keychain any more,
// or with other octets, stays loaded until nothing needs it: charon has it, and
// we need not.
func (s *Session) setPSKs(clones []keychain.PSKChoice) {
	if len(s.psks) == 0 {
		s.loaded, s.retry = false, time.Time{} // what charon has was not held against them
	}
	for _, old := range s.psks {
		old.Secret.Zero()
	}
	s.psks, s.handed = clones, true
	s.c.glance()
}

// Configure is overlay.Session's.
func (s *Session) Configure(t config.Tunnel) {
	s.post(func() {
		s.t, s.loaded, s.retry = t, false, time.Time{}
	})
}

// View is overlay.Session's.
func (s *Session) View() overlay.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view
	v.Members = slices.Clone(v.Members)
	return v
}

// Changed is overlay.Session's.
func (s *Session) Changed() <-chan struct{} { return s.changed }

// Close is overlay.Session's: charon goes on.
func (s *Session) Close() error {
	s.once.Do(func() {
		close(s.quit)
		// A step is done to its end, but with a charon that answers.
		late := time.AfterFunc(closePatience, s.giveUp)
		<-s.done
		late.Stop()
		s.giveUp()
		s.c.leave(s)
		for _, p := range s.psks {
			p.Secret.Zero()
		}
		for _, m := range s.members {
			m.early.Close()
			m.endProbe()
		}
		s.pair.zero()
	})
	return nil
}

const (
	// secondWord is how long the end of the greater address waits for the other
	// to start.
	secondWord = 3 * time.Second
	// closePatience is how long charon may take for what it is asked when a Session
	// is closed.
	closePatience = time.Second
)

// charonChanged: charon has come, or has gone.
func (s *Session) charonChanged() {
	s.post(func() {
		client, why := s.c.state()
		if client == s.charon {
			if client == nil && why != starting {
				s.wrong = why // it has been tried again
			}
			return
		}
		now, first := time.Now(), s.charon == nil && s.lost.IsZero()
		if client == nil {
			s.lost, s.wrong = now, why
		} else if !s.lost.IsZero() {
			s.keys.Lost()
		}
		s.charon, s.client, s.met, s.loaded, s.retry = client, nil, now, false, time.Time{}
		if client != nil {
			s.client = client.Until(s.asking)
		}
		for _, m := range s.members {
			if !first {
				m.gone()
			}
			if client == nil || first {
				s.keep(now, m)
			}
		}
	})
}

// established is what charon has of this tunnel, as it was when it was asked or
// later.
func (s *Session) established(asked time.Time, sas []strongswan.IKESA) {
	if s.client == nil || !s.loaded || asked.Before(s.given) {
		return // of the charon before, or before what we gave this one
	}
	s.known = true
	now := time.Now()
	for _, m := range s.members {
		var own []strongswan.IKESA
		for _, sa := range sas {
			if sa.Connection == m.name {
				own = append(own, sa)
			}
		}
		m.see(now, own)
	}
	s.act(now)
}

// renumbered: an IKE_SA has new keys.
func (s *Session) renumbered(old, now uint32) { s.keys.Renumbered(old, now) }

// rekeyed: a CHILD_SA has new keys.
func (s *Session) rekeyed(name string) {
	for _, m := range s.members {
		if m.name == name {
			m.rekeys++
			m.proved = true
		}
	}
}

// found is why an attempt failed, or that it did not.
func (s *Session) found(f diagnose.Finding) {
	now := time.Now()
	for _, m := range s.members {
		if f.Connection == "" && m.live(now) || f.Connection != "" && f.Connection != m.name {
			continue
		}
		if m.find(now, f) {
			problem, _ := f.Explain(s.settings(m))
			s.log.Warn("tunnel is refused", "connection", m.name, "problem", problem)
		}
		if f.Kind != diagnose.None {
			s.keys.Failed(now, m.n)
		}
	}
}
