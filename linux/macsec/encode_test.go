package macsec

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// flatten lists the attributes of a message as "path=octets in hex", in order.
// Paths in nested have attributes inside.
func flatten(t *testing.T, b []byte, nested ...string) []string {
	t.Helper()
	var out []string
	var walk func(b []byte, prefix string)
	walk = func(b []byte, prefix string) {
		ad, err := netlink.NewAttributeDecoder(b)
		if err != nil {
			t.Fatalf("under %q: %v", prefix, err)
		}
	next:
		for ad.Next() {
			path := fmt.Sprint(prefix, ad.Type())
			for _, n := range nested {
				if n == path {
					walk(ad.Bytes(), path+".")
					continue next
				}
			}
			out = append(out, path+"="+hex.EncodeToString(ad.Bytes()))
		}
		if err := ad.Err(); err != nil {
			t.Fatalf("under %q: %v", prefix, err)
		}
	}
	walk(b, "")
	return out
}

var (
	testSCI   = SCI{0x02, 0, 0, 0, 0, 1, 0x12, 0x34}
	testKey   = []byte("0123456789abcdef")
	testKeyID = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 0, 13}
)

// The numbers are those of if_macsec.h; values as a little-endian host has
// them where the kernel takes host order.
func TestEncode(t *testing.T) {
	sa := NewSA{AN: 2, Active: true, PN: 0x01020304, KeyID: testKeyID, Key: testKey}
	xpn := sa
	xpn.XPN, xpn.PN, xpn.SSCI, xpn.Salt = true, 0x0102030405060708, 0x00000002, [12]byte{0xaa, 11: 0xbb}
	key, id := hex.EncodeToString(testKey), hex.EncodeToString(testKeyID[:])
	tests := []struct {
		name string
		got  []byte
		want []string
	}{
		{"add rx sc", encodeRxSC(7, testSCI, &yes), []string{"1=07000000", "2.1=0200000000011234", "2.2=01"}},
		{"delete rx sc", encodeRxSC(7, testSCI, nil), []string{"1=07000000", "2.1=0200000000011234"}},
		{"add tx sa", encodeAddSA(7, nil, &sa), []string{"1=07000000",
			"3.1=02", "3.2=01", "3.3=04030201", "3.5=" + id, "3.4=" + key}},
		{"add rx sa xpn", encodeAddSA(7, &testSCI, &xpn), []string{"1=07000000", "2.1=0200000000011234",
			"3.1=02", "3.2=01", "3.3=0807060504030201", "3.5=" + id, "3.4=" + key,
			"3.8=00000002", "3.9=aa00000000000000000000bb"}},
		{"update tx sa has no pn", encodeSA(7, nil, 3, &no), []string{"1=07000000", "3.1=03", "3.2=00"}},
		{"update rx sa has no pn", encodeSA(7, &testSCI, 3, &yes), []string{"1=07000000", "2.1=0200000000011234", "3.1=03", "3.2=01"}},
		{"delete tx sa", encodeSA(7, nil, 3, nil), []string{"1=07000000", "3.1=03"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, flatten(t, tt.got, "2", "3")); d != "" {
				t.Error(d)
			}
			if len(tt.got) > requestSize {
				t.Errorf("%d octets: more than requestSize, so that appending moved the key", len(tt.got))
			}
		})
	}
}

func TestEncodeLink(t *testing.T) {
	an, win, val, port := uint8(3), Replay{Protect: true, Window: 64}, ValidateCheck, uint16(0x1234)
	full := Config{EncodingSA: &an, Encrypt: &yes, Protect: &no, IncludeSCI: &no, ES: &yes, SCB: &no, Validate: &val, Replay: &win}
	fullWant := []string{"18.2.6=03", "18.2.7=01", "18.2.8=00", "18.2.9=00", "18.2.10=01", "18.2.11=00", "18.2.13=01",
		"18.2.5=40000000", "18.2.12=01"}
	kind := "18.1=" + hex.EncodeToString([]byte("macsec"))
	name := "3=" + hex.EncodeToString([]byte("macsec0\x00"))
	tests := []struct {
		name  string
		got   []byte
		index string
		want  []string
	}{
		{"least", encodeNewDevice(&Device{Name: "macsec0", Parent: 5}), "00000000",
			[]string{name, "5=05000000", kind, "18.2.15=00"}},
		{"port", encodeNewDevice(&Device{Name: "macsec0", Parent: 5, Port: port, CipherSuite: GCMAESXPN256, ICVLen: 12, Config: full}), "00000000",
			append([]string{name, "5=05000000", kind, "18.2.2=1234", "18.2.4=04000001" + "00c28000", "18.2.3=0c", "18.2.15=00"}, fullWant...)},
		{"sci", encodeNewDevice(&Device{Name: "macsec0", Parent: 5, SCI: &testSCI, Port: port}), "00000000",
			[]string{name, "5=05000000", kind, "18.2.1=0200000000011234", "18.2.15=00"}},
		{"change", encodeChange(9, &full), "09000000", append([]string{kind}, fullWant...)},
		{"encoding sa alone", encodeChange(9, &Config{EncodingSA: &an}), "09000000", []string{kind, "18.2.6=03"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := hex.EncodeToString(tt.got[4:8]); got != tt.index {
				t.Errorf("index %s, want %s", got, tt.index)
			}
			if d := cmp.Diff(tt.want, flatten(t, tt.got[unix.SizeofIfInfomsg:], "18", "18.2")); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestChecks(t *testing.T) {
	good := NewSA{AN: 3, PN: 1, Key: testKey}
	sa := func(f func(*NewSA)) error { s := good; f(&s); return s.check() }
	dev := func(d Device) error { return d.check() }
	an, bad := uint8(4), Validation(3)
	window := Replay{Protect: true, Window: 1 << 30}
	for want, err := range map[string]error{
		"an 4":                        sa(func(s *NewSA) { s.AN = 4 }),
		"SAK of 15 octets":            sa(func(s *NewSA) { s.Key = testKey[1:] }),
		"pn 0":                        sa(func(s *NewSA) { s.PN = 0 }),
		"more than 32 bits":           sa(func(s *NewSA) { s.PN = 1 << 32 }),
		"low 32 bits are 0":           sa(func(s *NewSA) { s.PN, s.XPN = 1<<32, true }),
		"name \"\"":                   dev(Device{Parent: 1}),
		"name \"sixteen-octets-x\"":   dev(Device{Name: "sixteen-octets-x", Parent: 1}),
		"no parent":                   dev(Device{Name: "m"}),
		"ICV of 7":                    dev(Device{Name: "m", Parent: 1, ICVLen: 7}),
		"at most 1073741823 with XPN": dev(Device{Name: "m", Parent: 1, CipherSuite: GCMAESXPN128, Config: Config{Replay: &window}}),
		"explicit SCI":                dev(Device{Name: "m", Parent: 1, SCI: &testSCI, Config: Config{IncludeSCI: &no}}),
		"encoding SA 4":               dev(Device{Name: "m", Parent: 1, Config: Config{EncodingSA: &an}}),
		"validation 3":                dev(Device{Name: "m", Parent: 1, Config: Config{Validate: &bad}}),
		"exclude each other":          dev(Device{Name: "m", Parent: 1, Config: Config{IncludeSCI: &yes, SCB: &yes}}),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, have %v", want, err)
		}
	}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	if err := dev(Device{Name: "m", Parent: 1, CipherSuite: GCMAES128, Config: Config{Replay: &window}}); err != nil {
		t.Error(err)
	}
}

func TestMessageCarriesAttributes(t *testing.T) {
	attrs := encodeSA(7, nil, 1, nil)
	b := appendMessage(nil, 0x1c, cmdDelTxSA, 5, 6, attrs)
	var m netlink.Message
	if err := m.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	want := netlink.Header{Length: uint32(len(b)), Type: 0x1c, Flags: netlink.Request | netlink.Acknowledge, Sequence: 5, PID: 6}
	if m.Header != want {
		t.Errorf("header %+v, want %+v", m.Header, want)
	}
	if !bytes.Equal(m.Data, append([]byte{cmdDelTxSA, familyVersion, 0, 0}, attrs...)) {
		t.Errorf("body %x", m.Data)
	}
}
