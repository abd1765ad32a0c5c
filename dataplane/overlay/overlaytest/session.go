// Package overlaytest has what tests of tunnels share: a Session that encrypts
// nothing, records what it is told, and is as a test says; and the wait for what is
// under way.
package overlaytest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// Session implements overlay.Session and overlay.PeerKeyed.
type Session struct {
	Tunnel config.Tunnel // as it was opened
	Place  overlay.Place

	mu      sync.Mutex
	view    overlay.View
	told    Told
	peers   map[int][]string
	changed chan struct{}
	lasts   time.Duration
}

// Told is what a Session was told.
type Told struct {
	PSKs       []string // ids and states of the last SetPSKs, the preferred first
	Preferred  string   // its id; "" if none is
	Given      int      // how often there was a SetPSKs
	Configured []config.Tunnel
	Closed     bool
	Removed    bool
}

// New is a Session that knows nothing of its members yet.
func New(t config.Tunnel, p overlay.Place) *Session {
	return &Session{Tunnel: t, Place: p, changed: make(chan struct{}, 1), peers: map[int][]string{}}
}

// SetPSKs implements overlay.Session.
func (s *Session) SetPSKs(sel keychain.PSKSelection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told.PSKs, s.told.Preferred = names(sel), ""
	s.told.Given++
	if sel.Preferred != nil {
		s.told.Preferred = sel.Preferred.ID
	}
}

// SetPeerPSKs implements overlay.PeerKeyed.
func (s *Session) SetPeerPSKs(n int, sel keychain.PSKSelection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers[n] = names(sel)
}

func names(sel keychain.PSKSelection) (all []string) {
	for _, c := range sel.All {
		all = append(all, c.ID+" "+c.State.String())
	}
	return all
}

// Configure implements overlay.Session.
func (s *Session) Configure(t config.Tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told.Configured = append(s.told.Configured, t)
}

// View implements overlay.Session.
func (s *Session) View() overlay.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view
	v.Members = slices.Clone(v.Members)
	return v
}

// Set has the Session be so, and tells.
func (s *Session) Set(v overlay.View) {
	s.mu.Lock()
	s.view = v
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// SetLive has the members of these numbers live and no others, and tells.
func (s *Session) SetLive(live ...int) {
	v := overlay.View{State: overlay.Unsecured}
	for _, m := range s.Place.Members {
		on := slices.Contains(live, m.N)
		if on {
			v.State = overlay.Secured
		}
		v.Members = append(v.Members, overlay.MemberView{N: m.N, Interface: m.Interface, Live: on})
	}
	s.Set(v)
}

// Changed implements overlay.Session.
func (s *Session) Changed() <-chan struct{} { return s.changed }

// Close implements overlay.Session.
func (s *Session) Close() error { return s.end(&s.told.Closed) }

// Last has Remove take that long.
func (s *Session) Last(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lasts = d
}

// Remove implements overlay.Session.
func (s *Session) Remove() error {
	s.mu.Lock()
	d := s.lasts
	s.mu.Unlock()
	time.Sleep(d)
	return s.end(&s.told.Removed)
}

func (s *Session) end(how *bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told.Closed || s.told.Removed {
		return errors.New("ended twice")
	}
	*how = true
	return nil
}

// Told is what it was told so far.
func (s *Session) Told() Told {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.told
	t.Configured = slices.Clone(t.Configured)
	return t
}

// PeerPSKs are the ids and states of the last SetPeerPSKs of peer n.
func (s *Session) PeerPSKs(n int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers[n]
}
