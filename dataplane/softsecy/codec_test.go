package softsecy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

func testKey(t testing.TB, suite sa.Suite, offset int) *Key {
	t.Helper()
	k, err := NewKey(Params{Suite: suite, SAK: secret.New(bytes.Repeat([]byte{7}, suite.KeyLen())), Offset: offset})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// plain is DA, SA, VLAN tags, then n octets of user data.
func plain(vlans string, n int) []byte {
	f := []byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02" + vlans)
	for i := range n {
		f = append(f, byte(i))
	}
	return f
}

const (
	cTag = "\x81\x00\x00\x64"
	sTag = "\x88\xa8\x20\x0a"
)

// TestRoundTrip goes over every suite, offset, mode, way of telling the SCI,
// VLAN tags in clear and lengths about the limits.
func TestRoundTrip(t *testing.T) {
	var sealed, opened, pad []byte
	for _, suite := range sa.Suites() {
		for _, offset := range []int{0, 30, 50} {
			if suite.XPN() && offset != 0 {
				continue
			}
			k := testKey(t, suite, offset)
			for _, tci := range []TCI{SC | E | C, SC, E | C, 0, ES | E | C, ES, SCB | E | C, ES | SCB} {
				for _, vlans := range []string{"", cTag, sTag + cTag} {
					for _, n := range []int{2, 16, 29, 30, 31, 46, 47, 48, 49, 50, 51, 1500} {
						name := fmt.Sprintf("%v offset %d tci %v vlans %d length %d", suite, offset, tci, len(vlans)/4, n)
						frame := plain(vlans, n)
						tag := SecTAG{TCI: tci, AN: 3, PN: 77, SCI: sa.NewSCI([6]byte{2, 9}, 5)}
						iv := IV32(tag.SCI, tag.PN)
						var err error
						if sealed, err = k.Protect(sealed[:0], frame, len(vlans), tag, iv); err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						var m MPDU
						// A MAC pads to 60 octets, and a VLAN tag more.
						pad = append(pad[:0], sealed...)
						for len(pad) < minFrame {
							pad = append(pad, 0)
						}
						for _, wire := range [][]byte{sealed, pad} {
							if err := m.Parse(wire); err != nil {
								t.Fatalf("%s: %v", name, err)
							}
							if opened, err = k.Open(opened[:0], &m, iv); err != nil {
								t.Fatalf("%s: %v", name, err)
							}
							if !bytes.Equal(opened, frame) {
								t.Fatalf("%s: %x, want %x", name, opened, frame)
							}
						}
						clearLen := min(offset, n)
						if !tci.Has(E) {
							clearLen = n
						}
						if !bytes.Equal(m.Secure[:clearLen], frame[12+len(vlans):][:clearLen]) {
							t.Fatalf("%s: the first %d octets are not in clear", name, clearLen)
						}
						if n-clearLen >= 16 && bytes.Equal(m.Secure[clearLen:], frame[12+len(vlans)+clearLen:]) {
							t.Fatalf("%s: the data is in clear", name)
						}
					}
				}
			}
		}
	}
}

// TestVLANNotCovered changes a tag in clear: the ICV holds.
func TestVLANNotCovered(t *testing.T) {
	for _, tci := range []TCI{SC | E | C, SC} {
		k := testKey(t, sa.GCMAES128, 0)
		sealed, err := k.Protect(nil, plain(cTag, 60), 4, SecTAG{TCI: tci, PN: 1}, IV{})
		if err != nil {
			t.Fatal(err)
		}
		sealed[15]++
		var m MPDU
		if err := m.Parse(sealed); err != nil {
			t.Fatal(err)
		}
		out, err := k.Open(nil, &m, IV{})
		if err != nil {
			t.Fatal(err)
		}
		if out[15] != cTag[3]+1 {
			t.Error("the VLAN tag is not as received")
		}
	}
}

func TestParseRefuses(t *testing.T) {
	k := testKey(t, sa.GCMAES128, 0)
	short, _ := k.Protect(nil, plain("", 40), 0, SecTAG{TCI: SC | E | C, PN: 1}, IV{})
	long, _ := k.Protect(nil, plain("", 48), 0, SecTAG{TCI: SC | E | C, PN: 1}, IV{})
	set := func(f []byte, at int, b byte) []byte {
		f = bytes.Clone(f)
		f[at] = b
		return f
	}
	for _, c := range []struct {
		name  string
		frame []byte
		want  error
	}{
		{"empty", nil, ErrLength},
		{"no EtherType", short[:13], ErrLength},
		{"addresses alone", short[:14], ErrTagShort},
		{"tag cut", short[:19], ErrTagShort},
		{"SCI cut", short[:27], ErrTagShort},
		{"IPv4", set(long, 12, 8), ErrNotMACsec},
		{"version 1", set(long, 14, 0xac), ErrVersion},
		{"ES and SC", set(long, 14, 0x6c), ErrSCIConflict},
		{"SCB and SC", set(long, 14, 0x3c), ErrSCIConflict},
		{"C without E", set(long, 14, 0x24), ErrEncoding},
		{"E without C", set(long, 14, 0x28), ErrForKaY},
		{"SL 48", set(long, 15, 48), ErrShortLength},
		{"SL with high bits", set(long, 15, 0x80), ErrShortLength},
		{"SL over the frame", set(short, 15, 41), ErrLength},
		{"SL under the frame", set(short, 15, 39), ErrLength},
		{"SL 0 and 40 octets", set(short, 15, 0), ErrLength},
		{"ICV cut", long[:len(long)-1], ErrLength},
		{"VLAN tag and no more", append(plain(cTag, 0), 0x88), ErrTagShort},
	} {
		var m MPDU
		if err := m.Parse(c.frame); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestZeroPN(t *testing.T) {
	for _, suite := range sa.Suites() {
		k := testKey(t, suite, 0)
		tag := SecTAG{TCI: SC | E | C}
		sealed, err := k.Protect(nil, plain("", 60), 0, tag, IV{1})
		if suite.XPN() {
			if err != nil {
				t.Fatal(err)
			}
			var m MPDU
			if err := m.Parse(sealed); err != nil {
				t.Fatal(err)
			}
			if _, err := k.Open(nil, &m, IV{1}); err != nil {
				t.Errorf("%v: PN 0 under XPN: %v", suite, err)
			}
			continue
		}
		if !errors.Is(err, ErrZeroPN) {
			t.Errorf("%v: Protect with PN 0: %v", suite, err)
		}
		tag.PN = 1
		sealed, err = k.Protect(nil, plain("", 60), 0, tag, IV{1})
		if err != nil {
			t.Fatal(err)
		}
		sealed[19] = 0
		var m MPDU
		if err := m.Parse(sealed); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Open(nil, &m, IV{1}); !errors.Is(err, ErrZeroPN) {
			t.Errorf("%v: Open with PN 0: %v", suite, err)
		}
	}
}

func TestNewKeyRefuses(t *testing.T) {
	k16, k32 := secret.New(make([]byte, 16)), secret.New(make([]byte, 32))
	for _, c := range []struct {
		p    Params
		want string
	}{
		{Params{Suite: sa.GCMAES128, SAK: k16, ICVLen: 8}, "ICV length 8"},
		{Params{Suite: sa.GCMAES128, SAK: k16, Offset: 31}, "confidentiality offset 31: 0, 30 and 50"},
		{Params{Suite: sa.GCMAESXPN128, SAK: k16, Offset: 30}, "gcm-aes-xpn-128 has none"},
		{Params{Suite: sa.GCMAES256, SAK: k16}, "SAK of 16 octets: gcm-aes-256 needs 32"},
		{Params{Suite: sa.GCMAES128, SAK: k32}, "SAK of 32 octets: gcm-aes-128 needs 16"},
		{Params{Suite: 9, SAK: k16}, "cipher suite 9: not supported"},
		{Params{Suite: sa.GCMAES128}, "SAK of 0 octets"},
	} {
		if _, err := NewKey(c.p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q in it", err, c.want)
		}
	}
	for _, l := range []int{0, ICVLen} {
		if _, err := NewKey(Params{Suite: sa.GCMAES128, SAK: k16, ICVLen: l}); err != nil {
			t.Error(err)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for _, vlans := range []string{"", cTag} {
		for _, tci := range []TCI{SC | E | C, SC} {
			k := testKey(t, sa.GCMAES256, 30)
			frame := plain(vlans, 1500)
			tag := SecTAG{TCI: tci, PN: 1}
			iv := IV32(tag.SCI, tag.PN)
			sealed, opened := make([]byte, 0, 2000), make([]byte, 0, 2000)
			var m MPDU
			n := testing.AllocsPerRun(100, func() {
				out, err := k.Protect(sealed, frame, len(vlans), tag, iv)
				if err == nil {
					err = m.Parse(out)
				}
				if err == nil {
					_, err = k.Open(opened, &m, iv)
				}
				if err != nil {
					t.Fatal(err)
				}
			})
			if n != 0 {
				t.Errorf("tci %v, vlans %d: %v allocations", tci, len(vlans)/4, n)
			}
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{46, 1486} {
		b.Run(fmt.Sprint(n+14), func(b *testing.B) {
			k := testKey(b, sa.GCMAES256, 0)
			sealed, err := k.Protect(nil, plain("", n), 0, SecTAG{TCI: SC | E | C, PN: 1}, IV{})
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 0, 2000)
			var m MPDU
			b.SetBytes(int64(n + 14))
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Parse(sealed); err != nil {
					b.Fatal(err)
				}
				if _, err := k.Open(buf, &m, IV{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
