package keyvault

import (
	"bytes"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	h16, h32 := strings.Repeat("a1", 16), strings.Repeat("B2", 32)
	for _, tc := range []struct {
		kind  Kind
		form  form
		text  string
		want  string // the octets in hex; empty: refused
		wrong string
	}{
		{CAK, byLook, h16, h16, ""},
		{CAK, byLook, " \t\r\n" + h32 + "\r\n", strings.ToLower(h32), ""},
		{CAK, byLook, h16[2:], "", "is 15 octets; accepted: 16 or 32"},
		{CAK, byLook, h16 + "00", "", "is 17 octets"},
		{CAK, byLook, h16[1:], "", "an odd number"},
		{CAK, byLook, h16[:8] + " " + h16[8:], "", "is not hex: 33 characters"},
		{CAK, byLook, "", "", "is 0 octets"},
		{CAK, byLook, "0x" + h16, "", "begins with 0x"},
		{CAK, byLook, "zz" + h16[2:], "", "is not hex"},
		{CKN, byLook, "00", "00", ""},
		{CKN, byLook, h32, strings.ToLower(h32), ""},
		{CKN, byLook, h32 + "00", "", "is 33 octets; accepted: 1 to 32"},
		{CKN, byLook, "", "", "is 0 octets"},
		{PSK, byLook, h32, strings.ToLower(h32), ""},
		{PSK, byLook, h16, hex.EncodeToString([]byte(h16)), ""},
		{PSK, byLook, "a good word\n", hex.EncodeToString([]byte("a good word")), ""},
		{PSK, byLook, strings.Repeat("x", 257), "", "is no PSK: 257 octets"},
		{PSK, byLook, " ", "", "is no PSK: 0 octets"},
		{PSK, byLook, "\xff\xfe", "", "is no PSK"},
		{PSK, asText, h32, hex.EncodeToString([]byte(h32)), ""},
		{PSK, asHex, h32, strings.ToLower(h32), ""},
		{PSK, asHex, h16, "", "is 16 octets; accepted: 32"},
		{PSK, asHex, "0x" + h32, "", "begins with 0x"},
		{PSK, asHex, "a good word", "", "is not hex"},
		{CAK, asText, h16, h16, ""},
	} {
		text := []byte(tc.text)
		v := decode(Ref{tc.kind, "1"}, tc.form, text)
		if got := hex.EncodeToString(v.Octets.Bytes()); got != tc.want || !strings.Contains(v.Wrong, tc.wrong) || (v.Wrong == "") != (tc.wrong == "") {
			t.Errorf("%s %q: %q, %q; want %q, %q", tc.kind, tc.text, got, v.Wrong, tc.want, tc.wrong)
		}
		if !bytes.Equal(text, make([]byte, len(text))) {
			t.Errorf("%s %q: the text is left", tc.kind, tc.text)
		}
		if v.Text != (tc.kind == PSK && tc.want != "" && tc.want != strings.ToLower(h32)) {
			t.Errorf("%s %q: text %v", tc.kind, tc.text, v.Text)
		}
	}
}

// wrongForm is all that is told of a value that is no key: lengths.
var wrongForm = regexp.MustCompile(`^(is no PSK: \d+ octets; accepted: 64 hex digits, or text of 1 to 256 octets|` +
	`begins with 0x; accepted: hex digits alone|is not hex: \d+ characters, not all of them hex digits or an odd number|` +
	`is \d+ octets; accepted: (16 or 32|1 to 32|32))$`)

// Whatever a vault holds: a key of an allowed length, or why it is none, without
// any of it.
func FuzzDecode(f *testing.F) {
	f.Add(uint8(0), []byte(strings.Repeat("a1", 16)))
	f.Add(uint8(1), []byte("0x00"))
	f.Add(uint8(2), []byte("a good word"))
	f.Add(uint8(5), []byte(strings.Repeat("a1", 32)))
	f.Add(uint8(8), []byte(strings.Repeat("a1", 32)))
	f.Fuzz(func(t *testing.T, kind uint8, text []byte) {
		k, look := []Kind{CAK, CKN, PSK}[kind%3], form(kind/3%3)
		given := string(text)
		v := decode(Ref{k, "1"}, look, text)
		n := v.Octets.Len()
		ok := map[Kind]bool{CAK: n == 16 || n == 32, CKN: n >= 1 && n <= 32, PSK: n >= 1 && n <= maxText}[k]
		if ok == (v.Wrong != "") {
			t.Fatalf("%s %q: %d octets, wrong %q", k, given, n, v.Wrong)
		}
		if v.Wrong != "" && !wrongForm.MatchString(v.Wrong) {
			t.Fatalf("%s %q is told: %q", k, given, v.Wrong)
		}
	})
}
