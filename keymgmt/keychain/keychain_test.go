package keychain

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/keymgmt/secret"
)

var t0 = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func hour(h int) time.Time { return t0.Add(time.Duration(h) * time.Hour) }

func key(name string, from, to time.Time) Key {
	return Key{CKN: CKN(name), CAK: secret.New([]byte(strings.Repeat("k", 16))), Window: Window{from, to}}
}

func names(keys []*Key) string {
	var s []string
	for _, k := range keys {
		s = append(s, string(k.CKN))
	}
	return strings.Join(s, " ")
}

func TestSelect(t *testing.T) {
	var none time.Time
	fallback := key("f", hour(9), none)
	fallback.Fallback = true
	seen := func(k Key, at time.Time) Key { k.FirstSeen = at; return k }
	for _, tc := range []struct {
		name   string
		keys   []Key
		now    time.Time
		active string
		next   time.Time
		states []State // in order of preference
	}{
		{"empty", nil, hour(0), "", none, nil},
		{"always", []Key{key("a", none, none)}, hour(0), "a", none, []State{Active}},
		{"latest start first", []Key{key("a", hour(0), none), key("b", hour(1), none)}, hour(2), "b a", none, []State{Active, Active}},
		{"at not_before it is in", []Key{key("a", hour(1), hour(2))}, hour(1), "a", hour(2), []State{Active}},
		{"at expires it is out", []Key{key("a", hour(1), hour(2))}, hour(2), "", none, []State{Expired}},
		{"not yet, with the next edge", []Key{key("a", hour(0), hour(5)), key("b", hour(3), none)}, hour(1), "a", hour(3), []State{NotYet, Active}},
		{"the nearest edge is an end", []Key{key("a", hour(0), hour(2)), key("b", hour(3), none)}, hour(1), "a", hour(2), []State{NotYet, Active}},
		{"tie: the greater CKN", []Key{key("a", hour(0), none), key("c", hour(0), none), key("b", hour(0), none)}, hour(1), "c b a", none, []State{Active, Active, Active}},
		{"a longer CKN is greater than its prefix", []Key{key("a", hour(0), none), key("aa", hour(0), none)}, hour(1), "aa a", none, []State{Active, Active}},
		{"octets compare unsigned", []Key{key("\xff", hour(0), none), key("\x01", hour(0), none)}, hour(1), "\xff \x01", none, []State{Active, Active}},
		{"fallback last though newest", []Key{fallback, key("a", hour(0), none)}, hour(10), "a f", none, []State{Active, Active}},
		{"fallback alone", []Key{fallback}, hour(10), "f", none, []State{Active}},
		{"first seen stands in", []Key{seen(key("z", none, none), hour(1)), seen(key("a", none, none), hour(2)), key("m", hour(1), none)}, hour(3), "a z m", none, []State{Active, Active, Active}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Keychain{Keys: tc.keys}
			s := c.Select(tc.now)
			if got := names(s.Active); got != tc.active {
				t.Errorf("active %q, want %q", got, tc.active)
			}
			if !s.Next.Equal(tc.next) {
				t.Errorf("next %v, want %v", s.Next, tc.next)
			}
			var states []State
			for _, c := range s.All {
				states = append(states, c.State)
				if got, ok := s.State(c.CKN); !ok || got != c.State {
					t.Errorf("State(%s) = %v, %v", c.CKN, got, ok)
				}
			}
			if !slices.Equal(states, tc.states) {
				t.Errorf("states %v, want %v", states, tc.states)
			}
			if _, ok := s.State("absent"); ok {
				t.Error("an absent key has a state")
			}
		})
	}
}

// Between now and Next nothing changes; at Next it does; order does not
// depend on the order in the file.
func TestSelectProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Custom(func(t *rapid.T) time.Time {
			if h := rapid.IntRange(-1, 8).Draw(t, "hour"); h >= 0 {
				return hour(h)
			}
			return time.Time{}
		})
		c := Keychain{}
		for i := range rapid.IntRange(0, 6).Draw(t, "keys") {
			k := key(string(rune('a'+i)), at.Draw(t, "from"), at.Draw(t, "to"))
			k.Fallback, k.FirstSeen = rapid.Bool().Draw(t, "fallback"), at.Draw(t, "seen")
			c.Keys = append(c.Keys, k)
		}
		now := hour(0).Add(time.Duration(rapid.IntRange(-60, 600).Draw(t, "minute")) * time.Minute)
		s := c.Select(now)
		shuffled := Keychain{Keys: rapid.Permutation(c.Keys).Draw(t, "shuffled")}
		if other := shuffled.Select(now); names(other.Active) != names(s.Active) || !other.Next.Equal(s.Next) {
			t.Fatalf("the order in the file matters: %q, %q", names(s.Active), names(other.Active))
		}
		inside := map[CKN]bool{}
		for _, k := range s.Active {
			inside[k.CKN] = true
		}
		same := func(at time.Time) bool {
			set := c.Select(at).Active
			return len(set) == len(inside) && !slices.ContainsFunc(set, func(k *Key) bool { return !inside[k.CKN] })
		}
		if s.Next.IsZero() {
			if !same(hour(1000)) {
				t.Fatal("no next change, but it changes")
			}
			return
		}
		if !s.Next.After(now) || !same(s.Next.Add(-1)) {
			t.Fatalf("at %v next is %v, but it changes before or is no later", now, s.Next)
		}
	})
}

func TestDiff(t *testing.T) {
	old := &Keychain{Keys: []Key{key("a", hour(0), hour(1)), key("b", hour(0), hour(1)), key("c", hour(0), hour(1)), key("d", hour(0), hour(1))}}
	b := key("b", hour(0), hour(2))
	c := key("c", hour(0), hour(1))
	c.CAK = secret.New([]byte("another, 16 oct."))
	d := key("d", hour(0), hour(1))
	d.FirstSeen, d.Origin = hour(5), Origin{File: "moved"}
	new := &Keychain{Keys: []Key{key("e", hour(0), hour(1)), d, c, b}}
	var got []string
	for _, ch := range Diff(old, new) {
		s := string(ch.CKN())
		switch {
		case ch.Old == nil:
			s += " added"
		case ch.New == nil:
			s += " removed"
		case ch.CAK:
			s += " other CAK"
		default:
			s += " changed"
		}
		got = append(got, s)
	}
	if want := []string{"a removed", "b changed", "c other CAK", "e added"}; !slices.Equal(got, want) {
		t.Errorf("diff %q, want %q", got, want)
	}
	if len(Diff(nil, old)) != 4 || len(Diff(old, nil)) != 4 || len(Diff(nil, nil)) != 0 {
		t.Error("nil is not the empty keychain")
	}
	if Equal(old, new) || !Equal(old, old) {
		t.Error("Equal")
	}
	one := func(id, s string) *Keychain { return &Keychain{PSKs: []PSK{{ID: id, Secret: secret.New([]byte(s))}}} }
	if !Equal(one("1", "x"), one("1", "x")) || Equal(one("1", "x"), one("1", "y")) || Equal(one("1", "x"), one("2", "x")) {
		t.Error("Equal of PSKs")
	}
}

func TestSeen(t *testing.T) {
	c := &Keychain{Keys: []Key{key("a", time.Time{}, time.Time{})}}
	s := Seen{}
	if !s.Mark(c, hour(1)) || s.Mark(c, hour(2)) || !c.Keys[0].FirstSeen.Equal(hour(1)) {
		t.Errorf("first seen %v, %v", c.Keys[0].FirstSeen, s)
	}
	next := &Keychain{Keys: []Key{key("b", time.Time{}, time.Time{})}, PSKs: []PSK{{ID: "p"}}}
	if !s.Mark(next, hour(3)) || len(s) != 2 || !next.PSKs[0].FirstSeen.Equal(hour(3)) {
		t.Errorf("a key that left is remembered, or a new one is not: %v", s)
	}
	if !s.Mark(c, hour(4)) || !c.Keys[0].FirstSeen.Equal(hour(4)) {
		t.Error("a key that came back has its old time")
	}
}

func TestCKN(t *testing.T) {
	for text, ok := range map[string]bool{"": false, "0": false, "00": true, "AbcD": true, "0x00": false, "0_0": false,
		strings.Repeat("00", 32): true, strings.Repeat("00", 33): false} {
		c, err := ParseCKN(text)
		if (err == nil) != ok {
			t.Errorf("ParseCKN(%q): %v", text, err)
		}
		if ok && c.String() != strings.ToLower(text) {
			t.Errorf("ParseCKN(%q) prints %s", text, c)
		}
	}
	js, err := json.Marshal(map[string]any{"ckn": CKN("\x96C"), "state": NotYet})
	if err != nil || string(js) != `{"ckn":"9643","state":"not_yet"}` {
		t.Errorf("%s, %v", js, err)
	}
	var back struct {
		CKN   CKN
		State State
	}
	if err := json.Unmarshal(js, &back); err != nil || back.CKN != "\x96C" || back.State != NotYet {
		t.Errorf("%+v, %v", back, err)
	}
	if json.Unmarshal([]byte(`{"ckn": "9"}`), &back) == nil || json.Unmarshal([]byte(`{"state": "soon"}`), &back) == nil {
		t.Error("malformed JSON is accepted")
	}
}

func TestZero(t *testing.T) {
	c := &Keychain{Keys: []Key{key("a", t0, t0)}, PSKs: []PSK{{ID: "p", Secret: secret.New([]byte("psk"))}}}
	cak, psk := c.Keys[0].CAK.Bytes(), c.PSKs[0].Secret.Bytes()
	c.Zero()
	if cak[0] != 0 || psk[0] != 0 {
		t.Error("Zero left octets")
	}
	(*Keychain)(nil).Zero()
}
