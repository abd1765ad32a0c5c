package wireguard

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/probing"
	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/linux/netns"
)

const (
	// idle is how often a device is looked at, that has a session.
	idle = 5 * time.Second
	// quick is how often, soon after its session was lost.
	quick = 200 * time.Millisecond
	// fresh is how old a View may be.
	fresh = 500 * time.Millisecond
	// grace is how long a tunnel may be in the state Unknown.
	grace = 5 * time.Second
)

// Options are what Open needs beside the tunnel.
type Options struct {
	Log *slog.Logger
	// Sealers seal the private key; none: one that is made is kept as wg(8) does.
	Sealers identity.Sealers
}

// Session is an overlay.Session.
type Session struct {
	ns        *netns.NS
	userspace bool
	log       *slog.Logger
	pair      *identity.Pair
	changed   chan struct{}
	kick      chan struct{}
	stop      chan struct{}
	done      chan struct{}
	ending    sync.Once

	mu      sync.Mutex
	tunnel  config.Tunnel
	members []*member
	source  *source // nil: it is not looked at
	opened  time.Time
	looked  time.Time
	state   overlay.State
	since   time.Time
	told    []bool // which members were live
	err     error  // of the last Configure
	closed  bool
}

var (
	_ overlay.Session   = (*Session)(nil)
	_ overlay.PeerKeyed = (*Session)(nil)
)

// Open starts the tunnel in the namespace, which it uses until it is closed. A
// private key that is not there is made.
func Open(ns *netns.NS, t config.Tunnel, p overlay.Place, o Options) (*Session, error) {
	log := o.Log.With("tunnel", t.Name)
	pair, made, err := identity.Open(t.WireGuard.PrivateKey, o.Sealers)
	if err != nil {
		return nil, fmt.Errorf("tunnel %s: %w", t.Name, err)
	}
	s := &Session{
		ns: ns, userspace: p.Userspace, log: log, pair: pair, tunnel: t, opened: time.Now(),
		changed: make(chan struct{}, 1), kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	s.source = &source{
		ns: ns, name: t.Interface, local: t.Local, remote: netip.AddrPortFrom(t.Remote, t.WireGuard.Port),
		ports: [2]uint16{t.WireGuard.Port, t.WireGuard.Port + uint16(t.Count) - 1},
	}
	if err := s.open(p); err != nil {
		for _, m := range s.members {
			err = errors.Join(err, m.close(false))
		}
		pair.Private.Zero()
		return nil, fmt.Errorf("tunnel %s: %w", t.Name, err)
	}
	log.Info("WireGuard is open", "public_key", pair.Public.String(), "key_made", made, "userspace", p.Userspace, "members", len(p.Members))
	if pair.Stays != nil {
		log.Warn("the private key stays sealed with what it was sealed with before", "path", t.WireGuard.PrivateKey, "err", pair.Stays)
	}
	go s.run()
	return s, nil
}

func (s *Session) open(p overlay.Place) error {
	for _, at := range p.Members {
		dev, err := s.device(at, p.Userspace)
		if err != nil {
			return err
		}
		if err := s.add(at, dev, func() device { return s.aside(at.N) }); err != nil {
			return err
		}
	}
	s.step()
	for _, m := range s.members {
		// A port that is taken may come free; what else fails stays so.
		if m.err != nil && !m.gone {
			s.log.Warn("WireGuard is not as it is to be yet", "member", m.N, "err", m.err)
		}
	}
	return nil
}

// device opens a member's WireGuard.
func (s *Session) device(at overlay.Member, userspace bool) (device, error) {
	if !userspace {
		return openKernel(s.ns, at.Interface, s.pair.Public)
	}
	t, err := attach(s.ns, at.Interface, at.Index, s.tunnel.MTU)
	if err != nil {
		return nil, err
	}
	return newEmbedded(s.ns, t, newSockets(), s.log.With("member", at.N)), nil
}

// aside opens a second device.
func (s *Session) aside(n int) device {
	return newEmbedded(s.ns, newNowhere(), &single{ns: s.ns, local: s.tunnel.Local}, s.log.With("member", n))
}

// add makes a member of a device; aside opens its second one.
func (s *Session) add(at overlay.Member, dev device, aside func() device) error {
	m := &member{Member: at, pair: s.pair, dev: dev}
	m.second = &second{open: aside, ahead: uint16(s.tunnel.Count)}
	s.members = append(s.members, m)
	if err := m.configure(s.tunnel, s.opened); err != nil {
		return err
	}
	if err := m.adopt(s.opened); err != nil {
		return err
	}
	s.probe(m)
	return nil
}

// probe starts the probe of a member as configured.
func (s *Session) probe(m *member) {
	conf := s.tunnel.Probe
	if m.probe != nil && conf != nil && m.probe.conf == *conf {
		return
	}
	m.probe.close()
	m.probe = nil
	if conf != nil {
		m.probe = &prober{probing.Start(s.ns, m.Interface, *conf, s.wake), *conf}
	}
}

// prober is a member's probe; nil is none.
type prober struct {
	*probing.Prober
	conf config.Probe
}

func (p *prober) answered() bool { return p.Result().Answered }

func (p *prober) close() {
	if p != nil {
		p.Close()
	}
}

// wake has the session look at once.
func (s *Session) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func (s *Session) run() {
	defer close(s.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.kick:
		case <-timer.C:
		}
		s.mu.Lock()
		next := s.step()
		s.mu.Unlock()
		timer.Reset(time.Until(next))
	}
}

// step has all members step, and tells of changes. It returns when to do so
// again. The caller has the lock.
func (s *Session) step() (next time.Time) {
	now := time.Now()
	next = now.Add(idle)
	s.source.look(now, slices.ContainsFunc(s.members, func(m *member) bool { return m.session(now) }))
	for _, m := range s.members {
		m.step(now)
		if at := m.next(now); at.Before(next) {
			next = at
		}
	}
	s.looked = now
	s.judge(now)
	if s.state == overlay.Unknown {
		if at := s.opened.Add(grace); at.Before(next) {
			next = at
		}
	}
	return next
}

// SetPSKs implements overlay.Session.
func (s *Session) SetPSKs(sel keychain.PSKSelection) { s.setPSKs(0, sel) }

// SetPeerPSKs implements overlay.PeerKeyed.
func (s *Session) SetPeerPSKs(n int, sel keychain.PSKSelection) { s.setPSKs(n+1, sel) }

func (s *Session) setPSKs(peer int, sel keychain.PSKSelection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	now := time.Now()
	for _, m := range s.members {
		m.setPSKs(peer, sel, now)
	}
	s.step()
	s.wake()
}

// Configure implements overlay.Session.
func (s *Session) Configure(t config.Tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || reflect.DeepEqual(t, s.tunnel) {
		return
	}
	s.tunnel = t
	var errs []error
	for _, m := range s.members {
		errs = append(errs, m.configure(t, time.Now()))
		s.probe(m)
	}
	s.err = errors.Join(errs...)
	s.step()
	s.wake()
}

// Changed implements overlay.Session.
func (s *Session) Changed() <-chan struct{} { return s.changed }

// Close implements overlay.Session.
func (s *Session) Close() error { return s.end(false) }

// Remove implements overlay.Session.
func (s *Session) Remove() error { return s.end(true) }

func (s *Session) end(remove bool) (err error) {
	s.ending.Do(func() {
		close(s.stop)
		<-s.done
		s.mu.Lock()
		s.closed = true
		members := s.members
		s.mu.Unlock()
		// Without the lock: a probe that ends may wait for it.
		for _, m := range members {
			err = errors.Join(err, m.close(remove))
		}
		if remove || s.userspace {
			err = errors.Join(err, s.source.have(false))
		}
		if s.userspace {
			free()
		}
		s.pair.Private.Zero()
	})
	if err != nil {
		return fmt.Errorf("tunnel %s: %w", s.tunnel.Name, err)
	}
	return nil
}
