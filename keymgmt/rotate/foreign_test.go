package rotate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

// nameNoStore makes the journal one from before the store was noted.
func (s *site) nameNoStore() {
	s.saved["link1"] = []byte(strings.Replace(string(s.saved["link1"]), `"store"`, `"former"`, 1))
}

// The journal of another keychain, store or owner is refused and named, and not
// gone on with; the next rotation replaces it.
func TestForeignJournal(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*site, *Chain)
		why    string // empty: it is ours
	}{
		"ours":           {func(*site, *Chain) {}, ""},
		"other vault":    {func(_ *site, c *Chain) { c.Place = "vault v2 cak ckn" }, `of keys in "vault v1 cak ckn", not "vault v2 cak ckn"`},
		"other owner":    {func(_ *site, c *Chain) { c.Owner = "them" }, `of the owner "us", not "them"`},
		"other keychain": {func(s *site, c *Chain) { s.saved["link2"], c.Name = s.saved["link1"], "link2" }, `of keychain "link1", not "link2"`},
		"no store named": {func(s *site, _ *Chain) { s.nameNoStore() }, ""},
		"no store named, other owner": {func(s *site, c *Chain) {
			s.nameNoStore()
			c.Owner = "them"
		}, `of the owner "us", not "them"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite()
				chain := s.interrupted(t)
				s.set(func() {
					c.change(s, &chain)
					// As in another vault, whose pairs the journal does not know.
					if c.why != "" {
						s.pairs[0].Owner, s.pairs[1].Owner = "", ""
					}
				})
				before, saved := s.ids(), string(s.saved[chain.Name])
				r, stop := s.run(t, chain)
				time.Sleep(2 * chain.Hold)
				synctest.Wait()
				if c.why == "" {
					if ids := s.ids(); len(ids) != 1 || len(r.Reports()) != 0 {
						t.Errorf("the old pair is not retired: %q, %+v", ids, r.Reports())
					}
					if js := string(s.saved[chain.Name]); !strings.Contains(js, `"store": "vault v1 cak ckn"`) {
						t.Errorf("the journal names no store: %s", js)
					}
					stop()
					return
				}
				if d := cmp.Diff(before, s.ids()); d != "" || saved != string(s.saved[chain.Name]) {
					t.Errorf("it was gone on with: %s", d)
				}
				all := r.Reports()
				if len(all) != 1 || !strings.Contains(all[0].Error, c.why) || !strings.Contains(all[0].Error, "rotations/"+chain.Name+".json") || all[0].Phase != "" {
					t.Errorf("reports %+v", all)
				}
				s.mu.Lock()
				if n := strings.Count(s.log.String(), "the journal of a rotation is refused"); n != 1 {
					t.Errorf("logged %d times", n)
				}
				s.mu.Unlock()
				// A rotation that changes nothing leaves it as it is.
				s.set(func() { s.err = errors.New("the vault is away") })
				if err := r.Rotate(t.Context(), chain.Name, nil); !errors.Is(err, ErrFailed) {
					t.Error(err)
				}
				synctest.Wait()
				s.set(func() { s.err = nil })
				if saved != string(s.saved[chain.Name]) {
					t.Errorf("a rotation that failed before its claim has replaced the journal: %s", s.saved[chain.Name])
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				var l timeline
				if err := r.Rotate(ctx, chain.Name, l.emit); err != nil || l.events[len(l.events)-1].Phase != course.Done {
					t.Error(err, l.phases())
				}
				if all := r.Reports(); len(all) != 1 || all[0].Error != "" || all[0].Phase == "" {
					t.Errorf("reports after a rotation %+v", all)
				}
				stop()
			})
		})
	}
}

// interrupted is a chain whose rotation has ended but for its hold, with the
// store vault v1.
func (s *site) interrupted(t *testing.T) Chain {
	t.Helper()
	chain := s.chain()
	chain.Place = "vault v1 cak ckn"
	r, stop := s.run(t, chain)
	defer stop()
	if err := r.Rotate(t.Context(), "link1", nil); err != nil {
		t.Fatal(err)
	}
	return chain
}

// A journal that was refused is removed: the alarm ends without a restart.
func TestForeignJournalRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		chain := s.interrupted(t)
		chain.Place = "vault v2 cak ckn"
		r, stop := s.run(t, chain)
		defer stop()
		alarms := func() int { time.Sleep(2 * askRefused); synctest.Wait(); return len(r.Reports()) }
		if n := alarms(); n != 1 {
			t.Errorf("%d alarms while it is there", n)
		}
		s.set(func() { s.journal = errors.New("the disk is away") })
		if n := alarms(); n != 1 {
			t.Errorf("%d alarms while it cannot be read", n)
		}
		s.set(func() { s.journal = nil; delete(s.saved, "link1") })
		if n := alarms(); n != 0 {
			t.Errorf("after its removal: %+v", r.Reports())
		}
	})
}
