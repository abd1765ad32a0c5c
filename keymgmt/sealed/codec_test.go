package sealed

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// whole has every field set, and some that are not.
func whole() Contents {
	window := keychain.Window{NotBefore: t0, Expires: t0.Add(time.Hour + time.Nanosecond)}
	return Contents{Time: t0.Add(time.Minute), Keychains: map[string]*keychain.Keychain{
		"link2": {Keys: []keychain.Key{
			{CKN: "\x00\xff", CAK: octetsOf(32, 7), Window: window, ExpiresHard: true, Fallback: true, FirstSeen: t0.Add(-time.Hour),
				Pinned: keychain.Pinned{Pair: "pair", CAK: "v1", CKN: "v2"}},
			{CKN: "second", CAK: octetsOf(16, 8)},
		}},
		"empty": {},
		"hub1": {PSKs: []keychain.PSK{
			{ID: "a", Secret: octetsOf(5, 9), Text: true, Window: window, ExpiresHard: true, Fallback: true, FirstSeen: t0, Version: "v3"},
			{Secret: octetsOf(32, 10)},
			{ID: "c", Secret: octetsOf(9, 11), Certificate: true},
		}},
	}}
}

func octetsOf(n int, b byte) *secret.Key { return secret.New(bytes.Repeat([]byte{b}, n)) }

// diff is what differs between two contents, secrets by their octets.
func diff(a, b Contents) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b *secret.Key) bool { return a.Equal(b) }))
}

func TestCodec(t *testing.T) {
	text, err := encode(whole())
	if err != nil {
		t.Fatal(err)
	}
	if cap(text) != len(text) {
		t.Errorf("%d octets in a buffer of %d: it has grown", len(text), cap(text))
	}
	kept := bytes.Clone(text)
	got, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(whole(), got); d != "" {
		t.Error(d)
	}
	for _, b := range []byte{7, 8, 9, 10, 11} {
		if bytes.Contains(text, bytes.Repeat([]byte{b}, 5)) {
			t.Errorf("the key of octets %d is still in the text", b)
		}
	}
	// What is cut, or longer, is refused at each length.
	for n := range kept {
		if c, err := decode(bytes.Clone(kept[:n])); err == nil {
			t.Fatalf("%d octets of %d: %v", n, len(kept), c)
		}
	}
	if _, err := decode(append(bytes.Clone(kept), 0)); err == nil || !strings.Contains(err.Error(), "after the end") {
		t.Errorf("an octet more: %v", err)
	}
}

func TestCodecRoundTrip(t *testing.T) {
	at := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "none") {
			return time.Time{}
		}
		sec := rapid.Int64Range(firstSecond+1, lastSecond).Draw(t, "seconds")
		return time.Unix(sec, rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
	})
	octets := func(t *rapid.T, n int) *secret.Key {
		return secret.New(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "octets"))
	}
	text := rapid.StringN(0, 20, -1)
	rapid.Check(t, func(t *rapid.T) {
		c := Contents{Time: at.Draw(t, "time"), Keychains: map[string]*keychain.Keychain{}}
		for _, name := range rapid.SliceOfNDistinct(rapid.StringN(1, 20, -1), 0, 3, rapid.ID).Draw(t, "names") {
			k := &keychain.Keychain{}
			c.Keychains[name] = k
			ckns := rapid.SliceOfNDistinct(rapid.SliceOfN(rapid.Byte(), 1, 32), 0, 4, func(b []byte) string { return string(b) })
			for _, ckn := range ckns.Draw(t, "ckns") {
				k.Keys = append(k.Keys, keychain.Key{
					CKN: keychain.CKN(ckn), CAK: octets(t, rapid.SampledFrom([]int{16, 32}).Draw(t, "length")),
					Window:      keychain.Window{NotBefore: at.Draw(t, "from"), Expires: at.Draw(t, "to")},
					ExpiresHard: rapid.Bool().Draw(t, "hard"), Fallback: rapid.Bool().Draw(t, "fallback"), FirstSeen: at.Draw(t, "seen"),
					Pinned: keychain.Pinned{Pair: text.Draw(t, "pair"), CAK: text.Draw(t, "cak"), CKN: text.Draw(t, "ckn")},
				})
			}
			for _, id := range rapid.SliceOfNDistinct(text, 0, 3, rapid.ID).Draw(t, "ids") {
				k.PSKs = append(k.PSKs, keychain.PSK{
					ID: id, Secret: octets(t, rapid.IntRange(1, 70).Draw(t, "length")), Text: rapid.Bool().Draw(t, "text"), Certificate: rapid.Bool().Draw(t, "certificate"),
					Window:      keychain.Window{NotBefore: at.Draw(t, "from"), Expires: at.Draw(t, "to")},
					ExpiresHard: rapid.Bool().Draw(t, "hard"), Fallback: rapid.Bool().Draw(t, "fallback"), FirstSeen: at.Draw(t, "seen"),
					Version: text.Draw(t, "version"),
				})
			}
		}
		b, err := encode(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := encode(c)
		if err != nil || !bytes.Equal(b, again) {
			t.Fatalf("encoded twice, it differs; %v", err)
		}
		got, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(c, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestEncodeLimits(t *testing.T) {
	with := func(k *keychain.Keychain) Contents {
		return Contents{Keychains: map[string]*keychain.Keychain{"link1": k}}
	}
	one := func(k keychain.Key) Contents { return with(&keychain.Keychain{Keys: []keychain.Key{k}}) }
	many := map[string]*keychain.Keychain{}
	for i := range maxKeychains + 1 {
		many[string(rune('a'+i))] = nil
	}
	var large keychain.Keychain
	for i := range maxKeys {
		large.PSKs = append(large.PSKs, keychain.PSK{ID: string(rune('a' + i)), Secret: octetsOf(maxPSK, 1)})
	}
	for _, tc := range []struct {
		c    Contents
		want string
	}{
		{one(keychain.Key{CAK: octetsOf(16, 1)}), "a CKN of 0 octets; accepted: 1 to 32"},
		{one(keychain.Key{CKN: keychain.CKN(strings.Repeat("c", 33)), CAK: octetsOf(16, 1)}), "a CKN of 33 octets"},
		{one(keychain.Key{CKN: "c"}), "a CAK of 0 octets; accepted: 16 or 32"},
		{one(keychain.Key{CKN: "c", CAK: octetsOf(24, 1)}), "a CAK of 24 octets"},
		{one(keychain.Key{CKN: "c", CAK: octetsOf(16, 1), Pinned: keychain.Pinned{Pair: strings.Repeat("p", maxString+1)}}), "a pair id of 1025 octets"},
		{one(keychain.Key{CKN: "c", CAK: octetsOf(16, 1), FirstSeen: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}), "first seen in the year 10000"},
		{with(&keychain.Keychain{PSKs: []keychain.PSK{{ID: "a", Secret: octetsOf(maxPSK+1, 1)}}}), "a PSK of 1025 octets; accepted: 1 to 1024"},
		{with(&keychain.Keychain{PSKs: []keychain.PSK{{ID: "a", Secret: octetsOf(maxCertificate+1, 1), Certificate: true}}}), "a PSK of 32769 octets; accepted: 1 to 32768"},
		{with(&keychain.Keychain{PSKs: []keychain.PSK{{ID: "a"}}}), "a PSK of 0 octets; accepted: 1 to 1024"},
		{with(&keychain.Keychain{Keys: make([]keychain.Key, maxKeys+1)}), "4097 keys of keychain link1"},
		{Contents{Keychains: many}, "1025 keychains"},
		{with(&large), "octets of keys; accepted: up to 1048576"},
	} {
		if b, err := encode(tc.c); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%d octets, error %v, want %s", len(b), err, tc.want)
		}
	}
}

// A certificate may be longer than a PSK.
func TestCodecCertificate(t *testing.T) {
	c := Contents{Keychains: map[string]*keychain.Keychain{"cert": {PSKs: []keychain.PSK{{ID: "v", Secret: octetsOf(maxCertificate, 1), Certificate: true}}}}}
	text, err := encode(c)
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(text)
	got, err := decode(text)
	if err != nil || diff(c, got) != "" {
		t.Errorf("%v, %s", err, diff(c, got))
	}
	at := bytes.LastIndexByte(forged, 1) + 1 // its flags
	forged[at] = 0
	if _, err := decode(forged); err == nil || !strings.Contains(err.Error(), "a PSK of 32768 octets; accepted: up to 1024") {
		t.Errorf("a PSK of that length: %v", err)
	}
}

// Decode refuses what encode would not have written, whatever it is.
func FuzzDecode(f *testing.F) {
	b, err := encode(whole())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	b, err = encode(Contents{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := decode(bytes.Clone(text))
		if err != nil {
			if len(c.Keychains) != 0 {
				t.Fatal("contents beside an error")
			}
			return
		}
		again, err := encode(c)
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("decoded and encoded it is another text; %v", err)
		}
	})
}

func FuzzParse(f *testing.F) {
	h := header{generation: 3, time: t0, counter: 9, sealer: WithTPM, blob: []byte("blob")}
	text := bytes.Repeat([]byte{5}, 40)
	f.Add(append(h.append(nil, len(text)), text...))
	f.Add([]byte(magic))
	// The checksum is put there: no mutation would find it.
	f.Fuzz(func(t *testing.T, body []byte) {
		file := appendSum(slices.Clip(body))
		h, aad, text, err := parse(file)
		if err != nil {
			return
		}
		if again := h.append(nil, len(text)); !bytes.Equal(again, aad) || len(aad)+len(text) != len(body) {
			t.Fatalf("header %+v is written as %x, read from %x", h, again, aad)
		}
		if file[len(file)-1] ^= 1; true {
			if _, _, _, err := parse(file); err == nil {
				t.Fatal("a wrong checksum is accepted")
			}
		}
	})
}
