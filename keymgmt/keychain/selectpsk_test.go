package keychain

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/keymgmt/secret"
)

func psk(id string, from, to time.Time) PSK {
	return PSK{ID: id, Secret: secret.New([]byte(strings.Repeat("p", 32))), Window: Window{from, to}}
}

// told is the order with each state, as "a active, b not yet".
func told(s PSKSelection) string {
	var out []string
	for _, c := range s.All {
		out = append(out, c.ID+" "+c.State.String())
	}
	return strings.Join(out, ", ")
}

func TestSelectPSKs(t *testing.T) {
	var none time.Time
	last := func(p PSK) PSK { p.Fallback = true; return p }
	hard := func(p PSK) PSK { p.ExpiresHard = true; return p }
	seen := func(p PSK, at time.Time) PSK { p.FirstSeen = at; return p }
	for _, tc := range []struct {
		name      string
		psks      []PSK
		now       time.Time
		preferred string
		all       string
		next      time.Time
		cut       string
	}{
		{"empty", nil, hour(0), "", "", none, ""},
		{"always", []PSK{psk("a", none, none)}, hour(0), "a", "a active", none, ""},
		{"latest start first", []PSK{psk("a", hour(0), none), psk("b", hour(1), none)}, hour(2), "b", "b active, a active", none, ""},
		{"at not_before it is in", []PSK{psk("a", none, none), psk("b", hour(1), hour(2))}, hour(1), "b", "b active, a active", hour(2), ""},
		{"before it, the one that is", []PSK{psk("a", hour(0), none), psk("b", hour(3), none)}, hour(1), "a", "b not yet, a active", hour(3), ""},
		{"at expires it is out", []PSK{psk("a", hour(1), hour(2))}, hour(2), "", "a expired", none, ""},
		{"expires_hard cuts, and only at expires", []PSK{hard(psk("a", hour(0), hour(2))), psk("b", hour(0), hour(2)), hard(psk("c", hour(0), hour(4)))},
			hour(2), "c", "c active, b expired, a expired", hour(4), "a"},
		{"tie: the greater id", []PSK{psk("a", hour(0), none), psk("c", hour(0), none), psk("b", hour(0), none)}, hour(1), "c", "c active, b active, a active", none, ""},
		{"fallback last though newest", []PSK{last(psk("f", hour(2), none)), psk("a", hour(0), none)}, hour(3), "a", "a active, f active", none, ""},
		{"fallback where no other is", []PSK{last(psk("f", none, none)), psk("a", hour(0), hour(1))}, hour(3), "f", "a expired, f active", none, ""},
		{"first seen stands in", []PSK{seen(psk("z", none, none), hour(1)), seen(psk("a", none, none), hour(2))}, hour(3), "a", "a active, z active", none, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Keychain{PSKs: tc.psks}
			s := c.SelectPSKs(tc.now)
			got := ""
			if s.Preferred != nil {
				got = s.Preferred.ID
			}
			if got != tc.preferred || told(s) != tc.all || !s.Next.Equal(tc.next) {
				t.Errorf("preferred %q, all %q, next %v; want %q, %q, %v", got, told(s), s.Next, tc.preferred, tc.all, tc.next)
			}
			var cut []string
			for _, p := range s.All {
				if p.Cut() {
					cut = append(cut, p.ID)
				}
				if found, ok := s.Find(p.ID); !ok || found != p || c.FindPSK(p.ID) != p.PSK {
					t.Errorf("%s is not found", p.ID)
				}
			}
			if strings.Join(cut, " ") != tc.cut {
				t.Errorf("cut %q, want %q", cut, tc.cut)
			}
			if _, ok := s.Find("absent"); ok || c.FindPSK("absent") != nil {
				t.Error("an absent PSK is found")
			}
		})
	}
}

// Between now and Next no state changes; at Next one does; the order in the
// source is none; preferred is the first that is active.
func TestSelectPSKsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Custom(func(t *rapid.T) time.Time {
			if h := rapid.IntRange(-1, 8).Draw(t, "hour"); h >= 0 {
				return hour(h)
			}
			return time.Time{}
		})
		c := Keychain{}
		for i := range rapid.IntRange(0, 6).Draw(t, "psks") {
			p := psk(string(rune('a'+i)), at.Draw(t, "from"), at.Draw(t, "to"))
			p.Fallback, p.FirstSeen = rapid.Bool().Draw(t, "fallback"), at.Draw(t, "seen")
			c.PSKs = append(c.PSKs, p)
		}
		now := hour(0).Add(time.Duration(rapid.IntRange(-60, 600).Draw(t, "minute")) * time.Minute)
		s := c.SelectPSKs(now)
		shuffled := Keychain{PSKs: rapid.Permutation(c.PSKs).Draw(t, "shuffled")}
		if other := shuffled.SelectPSKs(now); told(other) != told(s) || !other.Next.Equal(s.Next) {
			t.Fatalf("the order in the source matters: %q, %q", told(s), told(other))
		}
		first := slices.IndexFunc(s.All, func(p PSKChoice) bool { return p.State == Active })
		if (first < 0) != (s.Preferred == nil) || first >= 0 && s.All[first].PSK != s.Preferred {
			t.Fatalf("preferred %v of %q", s.Preferred, told(s))
		}
		same := func(at time.Time) bool { return told(c.SelectPSKs(at)) == told(s) }
		switch {
		case s.Next.IsZero():
			if !same(hour(1000)) {
				t.Fatal("no next change, but a state changes")
			}
		case !s.Next.After(now) || !same(s.Next.Add(-1)) || same(s.Next):
			t.Fatalf("at %v next is %v, which is not when a state next changes", now, s.Next)
		}
	})
}

func TestDiffPSKs(t *testing.T) {
	text := psk("e", hour(0), hour(1))
	text.Text = true
	other := psk("c", hour(0), hour(1))
	other.Secret = secret.New([]byte(strings.Repeat("q", 32)))
	same := psk("d", hour(0), hour(1))
	same.FirstSeen, same.Origin, same.Version = hour(5), Origin{File: "moved"}, "v2"
	old := &Keychain{PSKs: []PSK{psk("a", hour(0), hour(1)), psk("b", hour(0), hour(1)), psk("c", hour(0), hour(1)), psk("d", hour(0), hour(1)), psk("e", hour(0), hour(1))}}
	new := &Keychain{PSKs: []PSK{psk("f", hour(0), hour(1)), text, same, other, psk("b", hour(0), hour(2))}}
	var got []string
	for _, c := range DiffPSKs(old, new) {
		what := " changed"
		switch {
		case c.Old == nil:
			what = " added"
		case c.New == nil:
			what = " removed"
		}
		got = append(got, c.ID()+what)
	}
	if want := []string{"a removed", "b changed", "c changed", "e changed", "f added"}; !slices.Equal(got, want) {
		t.Errorf("diff %q, want %q", got, want)
	}
	if len(DiffPSKs(nil, old)) != 5 || len(DiffPSKs(old, nil)) != 5 || len(DiffPSKs(nil, nil)) != 0 {
		t.Error("nil is not the empty keychain")
	}
}
