package keyvault

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

var t0 = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func day(n int) time.Time { return t0.AddDate(0, 0, n) }

// vault is what an imagined vault holds: each line a version, as
// "cak v1 pair=p nbf=1 exp=9 off hard fallback value=00.. made=0", days from
// t0. Without a value it has the 16 octets of its pair's name.
func vault(t interface{ Fatalf(string, ...any) }, lines ...string) *Answer {
	a := &Answer{}
	for _, line := range lines {
		f := strings.Fields(line)
		v := Version{Ref: Ref{Kind(f[0]), f[1]}, Enabled: true, Created: t0}
		value := ""
		for _, w := range f[2:] {
			name, arg, _ := strings.Cut(w, "=")
			var n int
			fmt.Sscan(arg, &n)
			switch name {
			case "pair":
				v.Pair = arg
			case "nbf":
				v.NotBefore = day(n)
			case "exp":
				v.Expires = day(n)
			case "made":
				v.Created = day(n)
			case "off":
				v.Enabled = false
			case "hard":
				v.ExpiresHard = true
			case "fallback":
				v.Fallback = true
			case "wrong":
				v.Wrong = "tag is wrong"
			case "value":
				value = arg
			default:
				t.Fatalf("%q in %q", w, line)
			}
		}
		if value == "" {
			value = fmt.Sprintf("%x", fmt.Sprintf("%-16.16s", v.Pair+f[0]))
		}
		a.Versions = append(a.Versions, v)
		if v.Enabled && value != "none" {
			a.Values = append(a.Values, decode(v.Ref, byLook, []byte(value)))
		}
	}
	return a
}

// pairsOf names the pairs in use with their windows.
func pairsOf(c *keychain.Keychain) string {
	var out []string
	if c != nil {
		for i := range c.Keys {
			k := &c.Keys[i]
			s := k.Pinned.Pair
			if !k.Expires.IsZero() {
				s += fmt.Sprintf("<%d", int(k.Expires.Sub(t0).Hours()/24))
			}
			out = append(out, s)
		}
		for i := range c.PSKs {
			out = append(out, c.PSKs[i].ID)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func why(refused []Refused) string {
	var out []string
	for _, r := range refused {
		s := r.Pair + r.PSK + r.Version + ": " + r.Why
		if r.Lying {
			s += " LYING"
		}
		if r.Held {
			s += " HELD"
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func TestPairs(t *testing.T) {
	const a, b = "cak a1 pair=a", "ckn a2 pair=a"
	h16 := strings.Repeat("11", 16)
	for _, tc := range []struct {
		name    string
		vault   []string
		pairs   string
		refused string // all of it contains this; empty: nothing is refused
	}{
		{"one", []string{a, b}, "a", ""},
		{"two and a disabled one", []string{a, b, "cak c1 pair=c off", "ckn c2 pair=c off", "cak d1 pair=d", "ckn d2 pair=d"}, "a d", ""},
		{"half-written", []string{a, b, "ckn d2 pair=d"}, "a", "d: it has a CKN and no CAK"},
		{"the other half", []string{a, b, "cak d1 pair=d"}, "a", "d: it has a CAK and no CKN"},
		{"half-disabled", []string{a, b, "cak d1 pair=d off", "ckn d2 pair=d"}, "a", "d: its CAK is disabled and its CKN is not; disable both"},
		{"a second CAK", []string{a, b, "cak d1 pair=d", "ckn d2 pair=d", "cak d3 pair=d"}, "a", "d: it has 2 enabled versions of the CAK secret"},
		{"a second CAK, disabled", []string{a, b, "cak a3 pair=a off"}, "a", ""},
		{"a second CKN", []string{a, b, "cak d1 pair=d", "ckn d2 pair=d", "ckn d3 pair=d"}, "a", "d: it has 2 enabled versions of the CKN secret"},
		{"untagged", []string{a, b, "cak x"}, "a", "cak version x: it has no tag linkseal-pair"},
		{"untagged and disabled", []string{a, b, "cak x off"}, "a", ""},
		{"windows differ", []string{a, b, "cak d1 pair=d nbf=1", "ckn d2 pair=d nbf=2"}, "a", "d: nbf and exp of its CAK and of its CKN differ"},
		{"windows agree", []string{a + " nbf=1 exp=9", b + " nbf=1 exp=9"}, "a<9", ""},
		{"window ends before it begins", []string{a, b, "cak d1 pair=d nbf=2 exp=2", "ckn d2 pair=d nbf=2 exp=2"}, "a", "exp is not after nbf"},
		{"fallback differs", []string{a, b, "cak d1 pair=d fallback", "ckn d2 pair=d"}, "a", "d: the tags linkseal-fallback"},
		{"hard differs", []string{a, b, "cak d1 pair=d exp=9 hard", "ckn d2 pair=d exp=9"}, "a", "d: the tags linkseal-expires-hard"},
		{"hard without end", []string{a, b, "cak d1 pair=d hard", "ckn d2 pair=d hard"}, "a", "without exp"},
		{"bad tag", []string{a, b, "cak d1 pair=d wrong", "ckn d2 pair=d"}, "a", "d: cak version d1: tag is wrong"},
		{"no hex", []string{a, b, "cak d1 pair=d value=xyz", "ckn d2 pair=d"}, "a", "d: cak version d1 is not hex"},
		{"short CAK", []string{a, b, "cak d1 pair=d value=1122", "ckn d2 pair=d value=1122"}, "a", "d: cak version d1 is 2 octets; accepted: 16 or 32"},
		{"unequal lengths", []string{a, b, "cak d1 pair=d value=" + h16, "ckn d2 pair=d value=1122"}, "a", "d: its CKN is 2 octets and its CAK 16; Azure demands equal lengths"},
		{"CKN for CAK", []string{a, b, "cak d1 pair=d value=" + h16, "ckn d2 pair=d value=" + h16}, "a", "d: its CKN and its CAK are the same"},
		{"one CKN twice: the older has it", []string{"cak a1 pair=a made=1", "ckn a2 pair=a made=1 value=" + h16, "cak d1 pair=d", "ckn d2 pair=d value=" + h16}, "d", "a: it has the CKN of pair d"},
		{"over for long", []string{a, b, "cak d1 pair=d exp=1", "ckn d2 pair=d exp=1"}, "a", ""},
		{"over since today", []string{"cak d1 pair=d exp=10", "ckn d2 pair=d exp=10"}, "d<10", ""},
		{"a value is missing", []string{a, b, "cak d1 pair=d value=none", "ckn d2 pair=d"}, "a", ""},
		{"PSKs", []string{"psk p1", "psk p2 pair=site", "psk p3 off", "psk p4 pair=twice", "psk p5 pair=twice"}, "p1 site", "twice: 2 enabled versions have this id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newState("keychain x")
			changed, refused, fault := s.take(vault(t, tc.vault...), day(10))
			if got := pairsOf(s.chain); got != tc.pairs || fault != nil || !changed {
				t.Errorf("pairs %q, %v, changed %v; want %q", got, fault, changed, tc.pairs)
			}
			got := why(refused)
			if !strings.Contains(got, tc.refused) || (got == "") != (tc.refused == "") || strings.Contains(got, "LYING") {
				t.Errorf("refused %q, want %q", got, tc.refused)
			}
			if changed, _, _ := s.take(vault(t, tc.vault...), day(10)); changed {
				t.Error("the same again is a change")
			}
		})
	}
}

// What becomes of pair a, which was good, and of the pair d beside it.
func TestLastGood(t *testing.T) {
	const a, b, c, d = "cak a1 pair=a exp=20", "ckn a2 pair=a exp=20", "cak d1 pair=d", "ckn d2 pair=d"
	const newA, newB = "cak n1 pair=n made=11", "ckn n2 pair=n made=11"
	for _, tc := range []struct {
		name, pairs, refused string
		vault                []string
	}{
		{"disabled", "d", "", []string{"cak a1 pair=a off", "ckn a2 pair=a off", c, d}},
		{"half disabled", "d", "a: its CKN is disabled", []string{a, "ckn a2 pair=a off", c, d}},
		{"all disabled: the last good stay", "a<20 d", "", []string{"cak a1 pair=a off", "ckn a2 pair=a off", "cak d1 pair=d off", "ckn d2 pair=d off"}},
		{"nothing listed", "a<20 d", "a: cak version a1 and ckn version a2: not listed any more.*LYING HELD", nil},
		{"a version is not listed", "a<20 d", "a: cak version a1: not listed any more.*LYING HELD", []string{b, c, d}},
		{"a secret has other versions", "n", "", []string{newA, newB}},
		{"one secret has other versions", "a<20 d n", "a: .*cak version a1: not listed any more", []string{newA, newB, b, d}},
		{"the secrets were written anew, half of it", "a<20 d", "n: it has a CKN and no CAK", []string{newB}},
		{"another end", "a<30 d", "", []string{"cak a1 pair=a exp=30", "ckn a2 pair=a exp=30", c, d}},
		{"another end, half of it", "a<20 d", "a: nbf and exp of its CAK and of its CKN differ; set both alike HELD", []string{"cak a1 pair=a exp=30", b, c, d}},
		{"a second CAK", "a<20 d", "a: it has 2 enabled versions of the CAK secret; .*HELD", []string{a, "cak a3 pair=a exp=20", b, c, d}},
		{"of another pair", "a<20 d", "came back as of pair \"z\"; .*LYING HELD", []string{"cak a1 pair=z exp=20", b, c, d}},
		{"of the other pair", "a<20 d", "a: .* as of pair \"d\"; .*LYING HELD", []string{"cak a1 pair=d exp=20", "ckn a2 pair=d exp=20", "cak d1 pair=a", "ckn d2 pair=a"}},
		{"tag gone", "a<20 d", "as of pair \"\"; .*LYING HELD", []string{"cak a1 exp=20", b, c, d}},
		{"made anew under its id", "a<20 d", "", []string{"cak a1 pair=a off", "ckn a2 pair=a off", "cak a3 pair=a exp=20", "ckn a4 pair=a exp=20", c, d}},
		{"an older pair with its CKN and another CAK", "a<20 d", "e: it has the CKN of pair a", []string{a, b, c, d, "cak e1 pair=e made=-9", fmt.Sprintf("ckn e2 pair=e made=-9 value=%x", fmt.Sprintf("%-16s", "ackn"))}},
		{"made anew under its id, the old not listed", "a<20 d", "not listed any more, .*LYING HELD", []string{"cak a3 pair=a exp=20", "ckn a4 pair=a exp=20", c, d}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newState("keychain x")
			if _, _, f := s.take(vault(t, a, b, c, d), day(10)); f != nil {
				t.Fatal(f)
			}
			_, refused, fault := s.take(vault(t, tc.vault...), day(10))
			if got := pairsOf(s.chain); got != tc.pairs {
				t.Errorf("pairs %q, want %q (%v, %s)", got, tc.pairs, fault, why(refused))
			}
			got := why(refused)
			for _, part := range strings.Split(tc.refused, ".*") {
				if !strings.Contains(got, part) || (got == "") != (tc.refused == "") {
					t.Errorf("refused %q, want %q", got, tc.refused)
				}
			}
			// And back.
			s.take(vault(t, a, b, c, d, "cak n1 pair=n off", "ckn n2 pair=n off"), day(10))
			if got := pairsOf(s.chain); got != "a<20 d" {
				t.Errorf("then %q", got)
			}
		})
	}
}

// A keychain of an earlier run is used, asked for once more, and held against
// what the vault shows.
func TestRestore(t *testing.T) {
	first := newState("keychain x")
	first.take(vault(t, "cak a1 pair=a", "ckn a2 pair=a"), day(10))
	s := newState("keychain x")
	s.restore(first.chain)
	first.zero()
	if got := pairsOf(s.chain); got != "a" || len(s.have()) != 0 {
		t.Fatalf("%q, have %v", got, s.have())
	}
	cak := s.chain.Keys[0].CAK.Clone()
	lie := "cak a1 pair=a value=" + strings.Repeat("66", 16)
	for range 2 {
		changed, refused, fault := s.take(vault(t, lie, "ckn a2 pair=a"), day(10))
		if changed || fault != nil || !strings.Contains(why(refused), "cak version a1 came back with another value") || !s.chain.Keys[0].CAK.Equal(cak) {
			t.Errorf("%v, %v, %s", changed, fault, why(refused))
		}
	}
	if have := s.have(); len(have) != 1 || have[0] != (Ref{CKN, "a2"}) {
		t.Errorf("have %v", have)
	}
	_, refused, _ := s.take(vault(t, "cak a1 pair=a", "ckn a2 pair=a"), day(10))
	if len(refused) != 0 || len(s.have()) != 2 {
		t.Errorf("%s, have %v", why(refused), s.have())
	}
}

func TestWanted(t *testing.T) {
	var lines []string
	for i := range 40 { // p00 to p39 begin on days 0 to 39
		lines = append(lines, fmt.Sprintf("cak c%02d pair=p%02d nbf=%d", i, i, i), fmt.Sprintf("ckn n%02d pair=p%02d nbf=%d", i, i, i))
	}
	ids := func(refs []Ref) string {
		var s []string
		for _, r := range refs {
			if r.Kind == CKN {
				s = append(s, r.ID[1:])
			}
		}
		return strings.Join(s, " ")
	}
	a := vault(t, lines...)
	for _, tc := range []struct {
		now  time.Time
		want string
	}{
		{day(20), "20 19 18 17 16 15 14 13 21 22 23 24 25 26 27 28"},
		{day(38), "38 37 36 35 34 33 32 31 30 29 28 27 26 25 24 39"},
		// Behind what the vault wrote on day 0: that is the least it is.
		{day(-1), "00 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15"},
	} {
		refs := wanted(a.Versions, nil, tc.now)
		if got := ids(refs); got != tc.want || len(refs) != 2*maxPairs {
			t.Errorf("at %v: %d, %s; want %s", tc.now, len(refs), got, tc.want)
		}
	}
	if refs := wanted(a.Versions, []Ref{{CKN, "n20"}, {CAK, "c20"}, {CKN, "n19"}}, day(20)); refs[0] != (Ref{CAK, "c19"}) || len(refs) != 29 {
		t.Errorf("%v", refs)
	}
	a = vault(t, "cak a1 pair=a exp=5", "ckn a2 pair=a exp=5")
	for at, want := range map[int]int{5: 2, 6: 2, 7: 0} {
		if refs := wanted(a.Versions, nil, day(at)); len(refs) != want {
			t.Errorf("day %d: %v", at, refs)
		}
	}
}

// Whatever a vault lists: the keychain is sound, and a pair that was good stays
// unless it was disabled, replaced or over.
func TestTakeProperties(t *testing.T) {
	version := rapid.Custom(func(t *rapid.T) string {
		kind := rapid.SampledFrom([]string{"cak", "ckn"}).Draw(t, "kind")
		pair := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "pair")
		s := fmt.Sprintf("%s %s%s%d pair=%s", kind, kind, pair, rapid.IntRange(0, 1).Draw(t, "n"), pair)
		for _, w := range []string{"off", "nbf=1", "exp=9", "fallback", "value=1122", "value=none", "made=3"} {
			if rapid.IntRange(0, 9).Draw(t, w) == 0 {
				s += " " + w
			}
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		s := newState("keychain x")
		good := []string{"cak caka0 pair=a", "ckn ckna0 pair=a"}
		s.take(vault(t, good...), day(5))
		for range 4 {
			lines := rapid.SliceOfNDistinct(version, 0, 8, func(l string) string { return l[:len("cak caka0")] }).Draw(t, "vault")
			a := vault(t, lines...)
			before := s.chain.Clone()
			offed := map[Ref]bool{}
			for _, v := range a.Versions {
				offed[v.Ref] = !v.Enabled
			}
			_, refused, fault := s.take(a, day(5))
			if s.chain.Len() == 0 || fault != nil && !same(before, s.chain) {
				t.Fatalf("an empty keychain, or a changed one with %v", fault)
			}
			ckns := map[keychain.CKN]bool{}
			for i := range s.chain.Keys {
				k := &s.chain.Keys[i]
				if ckns[k.CKN] || len(k.CKN) != k.CAK.Len() || k.Pinned.Pair == "" {
					t.Fatalf("key %+v", *k)
				}
				ckns[k.CKN] = true
				if k.CAK.Equal(secret.New(make([]byte, k.CAK.Len()))) {
					t.Fatal("a zeroed CAK")
				}
			}
			for r := range s.values {
				on, there := offed[r]
				if _, pinned := pins(s.chain)[r]; !pinned && (!there || on) {
					t.Fatalf("the value of %s is kept", r.name())
				}
			}
			for i := range before.Keys {
				p := before.Keys[i].Pinned
				gone := !strings.Contains(" "+pairsOf(s.chain), " "+p.Pair)
				_, cak := offed[Ref{CAK, p.CAK}]
				_, ckn := offed[Ref{CKN, p.CKN}]
				if gone && cak && ckn && !offed[Ref{CAK, p.CAK}] && !offed[Ref{CKN, p.CKN}] {
					t.Fatalf("pair %s left: %v\n%s", p.Pair, lines, why(refused))
				}
			}
			before.Zero()
		}
		// An honest vault with the pair and its values: all is well again.
		s.take(vault(t, append(good, "cak z1 pair=z", "ckn z2 pair=z")...), day(5))
		if !strings.Contains(pairsOf(s.chain), "z") {
			t.Fatalf("then %s", pairsOf(s.chain))
		}
	})
}

// A vault full of what is no pair fills neither the log nor the status, and
// hides nothing of what is one.
func TestManyRefused(t *testing.T) {
	lines := []string{"cak a1 pair=a", "ckn a2 pair=a"}
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf("cak x%d", i))
	}
	s := newState("keychain x")
	_, refused, _ := s.take(vault(t, append(lines, "ckn b2 pair=b")...), t0)
	if got := why(refused); len(refused) != maxRefused+1 || !strings.Contains(got, "b: it has a CKN and no CAK") || !strings.Contains(got, "969 more are refused") || pairsOf(s.chain) != "a" {
		t.Errorf("%d: %s", len(refused), got)
	}
}

// A pair that is over is in no keychain, and its key in no memory, though
// nobody has disabled it.
func TestOverIsForgotten(t *testing.T) {
	all := []string{"cak a1 pair=a exp=2", "ckn a2 pair=a exp=2", "cak d1 pair=d", "ckn d2 pair=d"}
	s := newState("keychain x")
	s.take(vault(t, all...), t0)
	old := s.values[Ref{CAK, "a1"}].Octets
	s.take(vault(t, all...), day(4))
	if len(s.values) != 2 || old.Len() != 0 || pairsOf(s.chain) != "d" {
		t.Errorf("pairs %q, %d values", pairsOf(s.chain), len(s.values))
	}
	// Its end was moved: it is fetched, and used, again.
	moved := append([]string{"cak a1 pair=a exp=9", "ckn a2 pair=a exp=9"}, all[2:]...)
	if s.take(vault(t, moved...), day(4)); pairsOf(s.chain) != "a<9 d" {
		t.Errorf("pairs %q", pairsOf(s.chain))
	}
}
