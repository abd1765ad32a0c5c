package file

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

const (
	ckn1  = "96437a93ccf10d9dfe347846cce52c7d"
	cak16 = "00112233445566778899aabbccddeeff"
	cak32 = "c0ffee0011223344c0ffee5566778899c0ffeeaabbccddeec0ffeeff00112233"
)

func TestParse(t *testing.T) {
	text := "# two keys\nkeys:\n  - ckn: " + ckn1 + "   # 16 octets\n    cak: " + cak16 + "\n    not_before: 2026-11-01T00:00:00Z\n    expires: 2027-02-01T01:00:00+01:00\n    expires_hard: true\n" +
		"  - {ckn: \"01\", cak: '" + strings.ToUpper(cak32) + "', fallback: true}\n"
	data := []byte(text)
	c, err := Parse("k.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, make([]byte, len(data))) {
		t.Error("the buffer is not zeroed")
	}
	if len(c.Keys) != 2 {
		t.Fatalf("%d keys", len(c.Keys))
	}
	a, b := c.Keys[0], c.Keys[1]
	if a.CKN.String() != ckn1 || hex.EncodeToString(a.CAK.Bytes()) != cak16 || !a.ExpiresHard || a.Fallback ||
		!a.NotBefore.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) || !a.Expires.Equal(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)) ||
		a.Origin != (keychain.Origin{File: "k.yaml", Line: 4, Column: 10}) {
		t.Errorf("first key %+v", a)
	}
	if b.CKN != "\x01" || hex.EncodeToString(b.CAK.Bytes()) != cak32 || !b.Fallback || !b.NotBefore.IsZero() || b.Origin.Line != 8 || b.Origin.Column != 22 {
		t.Errorf("second key %+v", b)
	}
}

// Whatever YAML makes of a scalar, its digits are what the file says.
func TestHexAsWritten(t *testing.T) {
	for _, s := range []string{"1234", "12e4", "'12e4'", "\"12e4\"", "0123", "00", "1e10", "0777", "00e0", "1e1000", "true", "12345678", "123456789012", "1234567e", "null", "~", "0x12", "0o17", "1_0", "12.5", ".inf", "-1", "+1", "1:30", "12 34", "", "0", "123", "\"\"", "\"\\x31\\x32\"", "ab\n      cd", "|\n      ab", "[ab]", "2026-11-01", "!!str 12"} {
		want := strings.Trim(s, "'\"")
		if s == "\"\\x31\\x32\"" {
			want = "12" // a quoted scalar's escapes are part of how it is written
		}
		_, bad := hex.DecodeString(want)
		c, err := Parse("k.yaml", []byte("keys:\n  - ckn: "+s+"\n    cak: "+cak16+"\n"))
		if bad != nil || want == "" {
			if err == nil {
				t.Errorf("ckn: %s is accepted as %s", s, c.Keys[0].CKN)
			}
			continue
		}
		if err != nil {
			t.Errorf("ckn: %s: %v", s, err)
		} else if got := c.Keys[0].CKN.String(); got != want {
			t.Errorf("ckn: %s is read as %s", s, got)
		}
	}
}

func TestParsePSK(t *testing.T) {
	c, err := Parse("k.yaml", []byte("keys:\n  - {id: hub1, psk: "+cak32+"}\n  - id: hub deadbeef01\n    psk_text: correct deadbeef02 horse\n    expires: 2027-02-01T00:00:00Z\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.PSKs) != 2 || c.PSKs[0].ID != "hub1" || hex.EncodeToString(c.PSKs[0].Secret.Bytes()) != cak32 || c.PSKs[0].Text {
		t.Errorf("%+v", c.PSKs)
	}
	if p := c.PSKs[1]; p.ID != "hub deadbeef01" || string(p.Secret.Bytes()) != "correct deadbeef02 horse" || !p.Text || p.Expires.IsZero() {
		t.Errorf("%+v", p)
	}
}

func TestParseRefuses(t *testing.T) {
	const (
		key = "    cak: " + cak16 + "\n"
		one = "keys:\n  - ckn: 01\n" + key
	)
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "k.yaml:1:1: the file is empty; accepted: a mapping of keys to values"},
		{"no keys", "keys: []\n", "k.yaml:1:7: keys is empty; accepted: " + listAccepted},
		{"keys of nothing", "keys:\n", "k.yaml:1:1: keys is empty; accepted: " + listAccepted},
		{"no list", "keys: {ckn: 01}\n", "k.yaml:1:7: keys is a mapping; accepted: " + listAccepted},
		{"another top", "key:\n  - 1\n", "k.yaml:1:1: unknown key in the file (did you mean keys?); accepted: keys\nk.yaml:1:1: the file has no keys; accepted: keys: " + listAccepted},
		{"torn in the key", "keys:\n  - ckn: 01\n    cak: 001122334455", "k.yaml:3:10: cak has 6 octets; accepted: " + cakAccepted},
		{"torn before the key", "keys:\n  - ckn: 01\n    ca", "k.yaml:3:5: not YAML: non-map value is specified; accepted: YAML, two spaces a level, no tabs"},
		{"odd", "keys:\n  - ckn: 012\n    cak: " + cak16[1:] + "\n", "k.yaml:2:10: ckn has an odd number of hex digits, 3; accepted: " + cknAccepted + "\nk.yaml:3:10: cak has an odd number of hex digits, 31; accepted: " + cakAccepted},
		{"lengths", "keys:\n  - ckn: " + cak32 + "00\n    cak: " + cak16 + "0011223344556677\n", "k.yaml:2:10: ckn has 33 octets; accepted: " + cknAccepted + "\nk.yaml:3:10: cak has 24 octets; accepted: " + cakAccepted},
		{"0x", "keys:\n  - ckn: 0x01\n    cak: 0x" + cak16 + "\n", "k.yaml:2:10: ckn begins with 0x; accepted: " + cknAccepted + ", without 0x\nk.yaml:3:10: cak has other characters than hex digits; accepted: " + cakAccepted},
		{"underscore", "keys:\n  - ckn: 0011_2233\n" + key, "k.yaml:2:10: ckn has an underscore; accepted: " + cknAccepted + ", nothing between them"},
		{"duplicate", one + "  - ckn: '01'\n" + key, "k.yaml:4:10: this CKN is in line 2 already; accepted: each once in a keychain"},
		{"duplicate in another case", "keys:\n  - ckn: AB\n" + key + "  - ckn: ab\n" + key, "k.yaml:4:10: this CKN is in line 2 already; accepted: each once in a keychain"},
		{"unknown key", one + "    not_befor: 2026-11-01T00:00:00Z\n", "k.yaml:4:5: unknown key in a key (did you mean not_before?); accepted: ckn, cak, id, psk, psk_text, not_before, expires, expires_hard, fallback"},
		{"missing", "keys:\n  - ckn: 01\n  - cak: " + cak16 + "\n", "k.yaml:2:5: a key has no cak; accepted: cak: " + cakAccepted + "\nk.yaml:3:5: a key has no ckn; accepted: ckn: " + cknAccepted},
		{"window", one + "    not_before: 2026-11-01T00:00:00Z\n    expires: 2026-11-01T00:00:00Z\n", "k.yaml:5:14: expires is not after not_before; accepted: a later time"},
		{"hard without", one + "    expires_hard: true\n", "k.yaml:4:19: expires_hard without expires; accepted: expires_hard together with expires"},
		{"bad time and bool", one + "    expires: tomorrow\n    fallback: 1\n", "k.yaml:4:14: expires is malformed; accepted: a time as 2026-11-01T00:00:00Z or 2026-11-01T00:00:00+01:00\nk.yaml:5:15: fallback is malformed; accepted: true, false"},
		{"mixed", one + "  - {id: a, psk: " + cak32 + "}\n", "k.yaml:2:3: MACsec keys and PSKs in one keychain; accepted: a file of the one or of the other"},
		{"mixed in a key", "keys:\n  - {id: a, ckn: 01, psk: " + cak32 + "}\n", "k.yaml:2:18: ckn beside id, psk or psk_text; accepted: ckn and cak, or id and psk, or id and psk_text"},
		{"short psk", "keys:\n  - {id: a, psk: " + cak16 + "}\n", "k.yaml:2:18: psk has 16 octets; accepted: " + pskAccepted},
		{"two ids", "keys:\n  - {id: a, psk_text: x}\n  - {id: a, psk_text: y}\n", "k.yaml:3:10: this id is in line 2 already; accepted: each once in a keychain"},
		{"not text", "keys: \xff\n", "k.yaml:1:1: the file is not text; accepted: YAML in UTF-8"},
		{"a place holder", "keys:\n  - ckn: \ue0000000000\n    cak: " + cak16 + "\n", "k.yaml:1:1: the file is not text; accepted: YAML in UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("k.yaml", []byte(tc.text))
			if err == nil {
				t.Fatal("accepted")
			}
			// The list begins on the line after its key.
			if got := strings.ReplaceAll(err.Error(), "k.yaml:2:3: MACsec", "k.yaml:2:3: MACsec"); got != tc.want {
				t.Errorf("\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// Any octet of a good file replaced, any prefix of it: no message gives away
// four digits of the key.
func TestNoLeak(t *testing.T) {
	const digits = "c0ffeefacedecade"
	text := "keys:\n  - ckn: 01\n    cak: " + digits + digits + "\n    expires: 2027-02-01T00:00:00Z\n  - id: x\n    psk_text: " + digits + "\n"
	check := func(data string) {
		_, err := Parse("k.yaml", []byte(data))
		if err == nil {
			return
		}
		for i := range len(digits) - 4 {
			if strings.Contains(err.Error(), digits[i:i+4]) {
				t.Fatalf("%q gives %q", data, err)
			}
		}
	}
	for i := range text {
		check(text[:i])
		check(text[i:])
		for _, c := range "\x00\t\n\"':{}[]#&*!|>%@`,-? _gx\ue000" {
			check(text[:i] + string(c) + text[i+1:])
			check(text[:i] + string(c) + text[i:])
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("keys:\n  - ckn: 01\n    cak: " + cak16 + "\n"))
	f.Add([]byte("keys: [{id: a, psk_text: b, expires: 2027-02-01T00:00:00Z}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("k.yaml", data)
		if (c == nil) == (err == nil) {
			t.Fatal("neither or both of keychain and error")
		}
		if err != nil {
			return
		}
		if c.Len() == 0 {
			t.Error("no keys, no error")
		}
		for _, k := range c.Keys {
			if n := k.CAK.Len(); len(k.CKN) < 1 || len(k.CKN) > 32 || n != 16 && n != 32 {
				t.Errorf("%+v", k)
			}
		}
	})
}
