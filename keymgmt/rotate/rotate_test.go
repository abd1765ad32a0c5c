package rotate

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

// site is a store, a journal, our keychain, and one port whose peer follows
// late behind.
type site struct {
	mu      sync.Mutex
	pairs   []course.Pair
	saved   map[string][]byte
	late    time.Duration // the peer
	down    bool          // the link
	err     error         // of the store
	lists   int
	journal error
	log     bytes.Buffer
}

func newSite() *site {
	s := &site{saved: map[string][]byte{}}
	s.add("00", "us", time.Now().Add(-time.Hour))
	return s
}

func (s *site) add(id, owner string, at time.Time) {
	s.pairs = append(s.pairs, course.Pair{ID: id, CKN: keychain.CKN(id), Owner: owner, Created: at, Whole: true, Window: keychain.Window{NotBefore: at}})
}

func (s *site) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *site) List(context.Context) ([]course.Pair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	return slices.Clone(s.pairs), s.err
}

func (s *site) Write(_ context.Context, o course.Order) (course.Pair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return course.Pair{}, s.err
	}
	if i := slices.IndexFunc(s.pairs, func(p course.Pair) bool { return p.ID == o.ID }); i >= 0 {
		return s.pairs[i], nil
	}
	p := course.Pair{ID: o.ID, CKN: keychain.CKN(o.ID), Owner: o.Owner, Created: time.Now(), Whole: true, Window: o.Window()}
	s.pairs = append(s.pairs, p)
	return p, nil
}

func (s *site) Retire(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.pairs = slices.DeleteFunc(s.pairs, func(p course.Pair) bool { return p.ID == id })
	return nil
}

func (s *site) Load(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved[name], s.journal
}

func (s *site) Save(name string, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journal == nil {
		s.saved[name] = b
	}
	return s.journal
}

func (s *site) look(string) (v course.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	port := course.Port{Name: "p1", Secured: true, PeersEncode: true}
	var carries time.Time
	for _, p := range s.pairs {
		v.Keys = append(v.Keys, course.Key{ID: p.ID, CKN: p.CKN, Start: p.NotBefore})
		if p.State(time.Now()) != keychain.Active {
			continue
		}
		m := course.Participant{CKN: p.CKN}
		if time.Since(p.NotBefore) >= s.late && !s.down {
			m.Live = 1
			if p.NotBefore.After(carries) {
				carries, port.Encoding = p.NotBefore, p.CKN
			}
		}
		port.Participants = append(port.Participants, m)
	}
	if port.SAs = []keychain.CKN{port.Encoding}; s.down {
		port.Secured, port.SAs = false, nil
	}
	v.Ports = []course.Port{port}
	return v
}

func (s *site) ids() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pairs {
		all = append(all, p.ID)
	}
	return all
}

func (s *site) chain() Chain {
	return Chain{Name: "link1", Store: s, Owner: "us", Octets: 32, Hold: time.Hour, Sweep: true}
}

// run runs a Rotator of the chains until stop.
func (s *site) run(t *testing.T, chains ...Chain) (r *Rotator, stop func()) {
	t.Helper()
	r = New(Options{Journal: s, Look: s.look, Poll: func(string) {}, Log: slog.New(slog.NewTextHandler(&s.log, nil)), Rand: rand.Reader})
	r.Set(chains)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	synctest.Wait()
	return r, func() { cancel(); <-done }
}

// timeline collects events.
type timeline struct{ events []course.Event }

func (l *timeline) emit(e course.Event) error { l.events = append(l.events, e); return nil }

func (l *timeline) phases() (all []string) {
	for _, e := range l.events {
		all = append(all, string(e.Phase))
	}
	return all
}

func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		s.late = time.Minute
		r, stop := s.run(t, s.chain())
		defer stop()
		var l timeline
		if err := r.Rotate(t.Context(), "link1", l.emit); err != nil {
			t.Fatal(err)
		}
		want := []string{"claimed", "written", "read_back", "in_keychain", "participant_up", "waiting", "peer_live", "moved", "settled", "done"}
		if d := cmp.Diff(want, l.phases()); d != "" {
			t.Error(d)
		}
		synctest.Wait()
		if p := r.Reports(); len(p) != 1 || p[0].Phase != course.Settled || p[0].RetireAt == nil || time.Until(*p[0].RetireAt) > time.Hour {
			t.Errorf("%+v", p)
		}
		if n := len(s.ids()); n != 2 {
			t.Errorf("%d pairs in the hold", n)
		}
		time.Sleep(time.Hour + time.Minute)
		if ids := s.ids(); len(ids) != 1 || ids[0] == "00" {
			t.Errorf("after the hold %q", ids)
		}
		if p := r.Reports(); len(p) != 0 {
			t.Errorf("%+v", p)
		}
		// Again: the journal of the first is over.
		if err := r.Rotate(t.Context(), "link1", nil); err != nil {
			t.Error(err)
		}
		if err := r.Rotate(t.Context(), "link9", nil); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
		counted(t, r, Results{Done: 2})
	})
}

// A second rotation while the first holds its old pair takes that over; while
// the first waits for the peer it follows that.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		r, stop := s.run(t, s.chain())
		defer stop()
		for range 3 {
			if err := r.Rotate(t.Context(), "link1", nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
		}
		time.Sleep(2 * time.Hour)
		if ids := s.ids(); len(ids) != 1 {
			t.Errorf("%q", ids)
		}
		s.set(func() { s.late = time.Hour })
		first, gone := context.WithTimeout(t.Context(), time.Minute)
		defer gone()
		if err := r.Rotate(first, "link1", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		var a, b timeline
		var wg sync.WaitGroup
		for _, l := range []*timeline{&a, &b} {
			wg.Go(func() {
				if err := r.Rotate(t.Context(), "link1", l.emit); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		want := []string{"claimed", "written", "read_back", "in_keychain", "participant_up", "waiting", "resumed", "peer_live", "moved", "settled", "done"}
		for _, l := range []timeline{a, b} {
			if d := cmp.Diff(want, l.phases()); d != "" {
				t.Error(d)
			}
		}
		if len(s.ids()) != 2 {
			t.Errorf("%q: one rotation was asked for", s.ids())
		}
	})
}

// What is asked for and fails leaves the rotation before it in its hold.
func TestFailedBesideHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		r, stop := s.run(t, s.chain())
		defer stop()
		if err := r.Rotate(t.Context(), "link1", nil); err != nil {
			t.Fatal(err)
		}
		s.set(func() { s.err = errors.New("no route") })
		if err := r.Rotate(t.Context(), "link1", nil); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "no route") {
			t.Error(err)
		}
		counted(t, r, Results{Done: 1, Failed: 1})
		s.set(func() { s.err = nil })
		time.Sleep(2 * time.Hour)
		if ids := s.ids(); len(ids) != 1 {
			t.Errorf("%q", ids)
		}
	})
}

func TestOwned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		s.add("01", "them", time.Now())
		c := s.chain()
		c.Schedule = &course.Schedule{Every: 24 * time.Hour, Overlap: time.Hour, Hold: time.Hour}
		r, stop := s.run(t, c)
		defer stop()
		var l timeline
		if err := r.Rotate(t.Context(), "link1", l.emit); !errors.Is(err, ErrOwned) || len(l.events) != 0 {
			t.Errorf("%v after %q", err, l.phases())
		}
		counted(t, r, Results{Refused: 1})
		time.Sleep(100 * 24 * time.Hour)
		if len(s.ids()) != 2 || s.saved["link1"] != nil && !bytes.Contains(s.saved["link1"], []byte("failed")) {
			t.Errorf("%q, %s", s.ids(), s.saved["link1"])
		}
		if p := r.Reports(); len(p) != 1 || !strings.Contains(p[0].Error, "rotated by them") {
			t.Errorf("%+v", p)
		}
		if n := strings.Count(s.log.String(), "not rotated by schedule"); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}

// The daemon stops at each moment of a rotation, and goes on when it is back.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := range 30 {
			s := newSite()
			s.late = time.Second
			r, stop := s.run(t, s.chain())
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*50*time.Millisecond)
			err := r.Rotate(ctx, "link1", nil)
			cancel()
			stop()
			if e := r.Rotate(t.Context(), "link1", nil); !errors.Is(e, ErrUnknown) {
				t.Errorf("after the end: %v", e)
			}
			began := len(s.saved) > 0
			time.Sleep(time.Minute)
			_, stop = s.run(t, s.chain())
			time.Sleep(2 * time.Hour)
			stop()
			if ids := s.ids(); len(ids) != 1 || began != (ids[0] != "00") {
				t.Errorf("stopped after %d looks (%v): left %q", n, err, ids)
			}
		}
	})
}

// A year by schedule, with outages of the vault, a restart each week and the
// peer late: a pair a month, one after the other.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		s.late = 10 * time.Minute
		c := s.chain()
		c.Schedule = &course.Schedule{Every: 30 * 24 * time.Hour, Overlap: time.Hour, Hold: 24 * time.Hour}
		c.Hold = 24 * time.Hour
		began := time.Now()
		made := map[string]time.Time{}
		for week := range 52 {
			r, stop := s.run(t, c)
			for day := range 7 {
				s.set(func() {
					s.err = nil
					if day == week%7 {
						s.err = errors.New("no route")
					}
				})
				time.Sleep(24 * time.Hour)
				s.set(func() {
					for _, p := range s.pairs {
						made[p.ID] = p.NotBefore
					}
					if len(s.pairs) == 0 || len(s.pairs) > 3 {
						t.Errorf("week %d: %d pairs", week, len(s.pairs))
					}
				})
			}
			if p := r.Reports(); len(p) != 1 || p[0].Next == nil {
				t.Errorf("week %d: %+v", week, p)
			}
			stop()
		}
		months := int(time.Since(began) / (30 * 24 * time.Hour))
		if n := len(made) - 1; n < months-1 || n > months {
			t.Errorf("%d pairs in %d months", n, months)
		}
		if n := strings.Count(s.log.String(), "not rotated by schedule"); n > 60 {
			t.Errorf("%d complaints of 52 outages", n)
		}
	})
}

// A link that is down for longer than a pair lasts finds one that has begun and
// has not ended when it is back.
func TestScheduleGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		s.pairs[0].Expires = time.Now().Add(6 * time.Hour)
		c := s.chain()
		c.Schedule = &course.Schedule{Every: 3 * time.Hour, Overlap: 10 * time.Minute, Hold: time.Hour}
		_, stop := s.run(t, c)
		defer stop()
		time.Sleep(time.Hour)
		s.set(func() { s.down = true })
		for hour := range 24 {
			time.Sleep(time.Hour)
			s.set(func() {
				if !slices.ContainsFunc(s.pairs, func(p course.Pair) bool { return p.State(time.Now()) == keychain.Active }) {
					t.Fatalf("hour %d: of %d pairs none can be used", hour, len(s.pairs))
				}
			})
		}
		s.set(func() { s.down = false })
		time.Sleep(150 * time.Minute)
		if ids := s.ids(); len(ids) != 1 {
			t.Errorf("left are %d pairs", len(ids))
		}
	})
}

// The schedule leaves a store alone for as long as that wants.
func TestScheduleThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		s.err = fmt.Errorf("vault: %w", throttled(time.Hour))
		c := s.chain()
		c.Schedule = &course.Schedule{Every: 30 * 24 * time.Hour, Overlap: time.Hour, Hold: time.Hour}
		_, stop := s.run(t, c)
		defer stop()
		time.Sleep(10*time.Hour + time.Minute)
		s.set(func() {
			if s.lists != 11 {
				t.Errorf("asked %d times in 10 hours", s.lists)
			}
		})
	})
}

type throttled time.Duration

func (throttled) Error() string          { return "throttled" }
func (t throttled) Later() time.Duration { return time.Duration(t) }

// A reload that changes a keychain has its rotation go on with the new store.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		s.late = time.Minute
		r, stop := s.run(t, s.chain())
		defer stop()
		followed := make(chan error)
		go func() { followed <- r.Rotate(t.Context(), "link1", nil) }()
		time.Sleep(30 * time.Second)
		c := s.chain()
		c.Same = "other"
		r.Set([]Chain{c})
		if err := <-followed; !errors.Is(err, ErrStopped) {
			t.Error(err)
		}
		var l timeline
		if err := r.Rotate(t.Context(), "link1", l.emit); err != nil || l.events[len(l.events)-1].Phase != course.Done {
			t.Error(err, l.phases())
		}
		counted(t, r, Results{Done: 1}) // one rotation, whatever the configuration was meanwhile
		r.Set(nil)
		synctest.Wait()
		if err := r.Rotate(t.Context(), "link1", nil); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
	})
}

// Someone who does not read, or goes away, holds nothing up.
func TestFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		s.late = time.Minute
		r, stop := s.run(t, s.chain())
		defer stop()
		gone := errors.New("gone")
		if err := r.Rotate(t.Context(), "link1", func(course.Event) error { return gone }); !errors.Is(err, gone) {
			t.Error(err)
		}
		hangs := make(chan struct{})
		ended := make(chan error)
		go func() {
			ended <- r.Rotate(t.Context(), "link1", func(course.Event) error { <-hangs; return nil })
		}()
		synctest.Wait()
		if err := r.Rotate(t.Context(), "link1", nil); err != nil {
			t.Error(err)
		}
		close(hangs)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestJournalLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		s.saved["link1"] = []byte("{torn")
		r, stop := s.run(t, s.chain())
		if !strings.Contains(s.log.String(), "the journal of the rotation is lost") {
			t.Error(s.log.String())
		}
		if err := r.Rotate(t.Context(), "link1", nil); err != nil {
			t.Error(err)
		}
		s.set(func() { s.journal = fmt.Errorf("disk full") })
		time.Sleep(2 * time.Hour)
		if len(s.ids()) != 2 {
			t.Errorf("%q is left, with no journal of it", s.ids())
		}
		stop()
	})
}
