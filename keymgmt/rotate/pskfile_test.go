package rotate

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

func pskFile(t *testing.T) PSKFile {
	path := filepath.Join(t.TempDir(), "k.yaml")
	if err := os.WriteFile(path, []byte("keys:\n  - {id: hub1 first, psk_text: a good word, fallback: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return PSKFile{Path: path, Rand: rand.Reader}
}

func TestPSKFile(t *testing.T) {
	s := pskFile(t)
	for _, text := range []bool{false, true} {
		o := course.Order{ID: strings.Repeat("0f", 15) + map[bool]string{false: "00", true: "01"}[text], Octets: 32, PSK: true, Text: text, NotBefore: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
		var found []*keychain.PSK
		for range 2 { // again finds what is there
			p, err := s.Write(t.Context(), o)
			if err != nil || p.ID != o.ID || !p.PSK || p.CKN != "" || !p.Whole || !p.NotBefore.Equal(o.NotBefore) || !p.Expires.IsZero() {
				t.Fatalf("%+v, %v", p, err)
			}
			c, err := file.Load(s.Path)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, c.FindPSK(o.ID))
		}
		if a, b := found[0], found[1]; !a.Secret.Equal(b.Secret) || a.Text != text || a.Secret.Len() != map[bool]int{false: 32, true: 52}[text] {
			t.Errorf("text %v: %v, %v", text, a, b)
		}
	}
	pairs, err := s.List(t.Context())
	if err != nil || len(pairs) != 3 || pairs[0].ID != "hub1 first" || !pairs[0].Fallback || !pairs[1].PSK || pairs[1].Owner != "" {
		t.Errorf("%+v, %v", pairs, err)
	}
	for _, id := range []string{"hub1 first", "hub1 first", pairs[1].ID} {
		if err := s.Retire(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if err := s.Retire(t.Context(), pairs[2].ID); !errors.Is(err, course.ErrRefused) || !strings.HasPrefix(err.Error(), "key file ") {
		t.Errorf("the last PSK: %v", err)
	}
	if err := os.Chmod(s.Path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, list := s.List(t.Context())
	_, write := s.Write(t.Context(), course.Order{ID: strings.Repeat("0e", 16), Octets: 32, PSK: true})
	for _, err := range []error{list, write, s.Retire(t.Context(), "bb")} {
		if access := (*file.AccessError)(nil); !errors.Is(err, course.ErrRefused) || !errors.As(err, &access) {
			t.Error(err)
		}
	}
}

// A rotation of PSKs in a file, through the Rotator: the new one starts after
// its lead, the tunnel moves then, and the old one goes after the hold.
func TestRotatePSK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := pskFile(t)
		if _, err := f.Write(t.Context(), course.Order{ID: "old", Octets: 32, NotBefore: time.Now().Add(-time.Hour)}); err != nil {
			t.Fatal(err)
		}
		s := newSite()
		look := func(string) (v course.View) {
			chain, err := file.Load(f.Path)
			if err != nil {
				t.Error(err)
				return v
			}
			defer chain.Zero()
			for _, p := range chain.PSKs {
				v.Keys = append(v.Keys, course.Key{ID: p.ID, CKN: keychain.CKN(p.ID), Start: p.NotBefore, Fallback: p.Fallback})
			}
			on := keychain.CKN(chain.SelectPSKs(time.Now()).Preferred.ID)
			v.Ports = []course.Port{{Name: "hub1", Secured: true, Encoding: on, PeersEncode: true, SAs: []keychain.CKN{on}, Participants: []course.Participant{{CKN: on, Live: 1}},
				Interfaces: map[string]map[string]uint64{"wg0": {"tx_dropped": 5}}}}
			return v
		}
		r := New(Options{Journal: s, Look: look, Poll: func(string) {}, Log: slog.New(slog.DiscardHandler), Rand: rand.Reader})
		r.Set([]Chain{{Name: "hub1-psk", Store: f, Octets: 32, PSK: true, Hold: time.Hour, Lead: 10 * time.Second}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Run(ctx)
		}()
		synctest.Wait()
		var l timeline
		if err := r.Rotate(t.Context(), "hub1-psk", l.emit); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"claimed", "written", "read_back", "in_keychain", "peer_live", "moved", "settled", "done"}, l.phases()); d != "" {
			t.Error(d)
		}
		first := l.events[len(l.events)-1]
		if first.ElapsedMS < 9000 || first.ElapsedMS > 12000 || course.Sum(first.Lost) != 0 || len(first.Lost) != len(course.TunnelLosses) || len(first.PSK) != 32 {
			t.Errorf("%+v", first)
		}
		synctest.Wait()
		if p := r.Reports(); len(p) != 1 || p[0].PSK != first.PSK || p[0].CKN != "" || p[0].RetireAt == nil {
			t.Errorf("%+v", p)
		}
		time.Sleep(time.Hour + time.Minute)
		pairs, err := f.List(t.Context())
		if err != nil || len(pairs) != 2 || !pairs[0].Fallback || pairs[1].ID != first.PSK {
			t.Errorf("after the hold %+v, %v", pairs, err)
		}
		stop()
		<-done
	})
}
