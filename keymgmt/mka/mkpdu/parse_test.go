package mkpdu

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// build makes a frame from hex: its EAPOL body is the basic set followed by
// sets and an ICV of zeros.
func build(t testing.TB, basic string, sets ...string) []byte {
	t.Helper()
	body, err := hex.DecodeString(strings.ReplaceAll(basic+strings.Join(sets, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	n := len(body) + ICVLen
	frame := append([]byte{1, 0x80, 0xc2, 0, 0, 3, 2, 0, 0, 0, 0, 1, 0x88, 0x8e, 3, 5, byte(n >> 8), byte(n)}, body...)
	return append(frame, make([]byte, ICVLen)...)
}

const (
	sciMI   = "0200000000010001 a1a2a3a4a5a6a7a8a9aaabac "
	basic4  = "0310e020" + sciMI + "00000007 0080c201 01020304" // CKN of 4 octets
	ki      = "b1b2b3b4b5b6b7b8b9babbbc 00000002"
	zero16  = "00000000000000000000000000000000"
	wrap24  = "111111111111111122222222222222223333333333333333"
	useBody = ki + "00000009" + zero16 + "00000000"
)

func TestMalformed(t *testing.T) {
	good := build(t, basic4)
	edit := func(at int, b ...byte) []byte {
		f := bytes.Clone(good)
		copy(f[at:], b)
		return f
	}
	basic := func(n string, ckn string) string { return "0310e0" + n + sciMI + "00000007 0080c201" + ckn }
	kind := map[Error]int{}
	for _, c := range []struct {
		name  string
		frame []byte
		want  error
	}{
		{"the frame that the others change", good, nil},
		{"nothing", nil, FrameShort},
		{"no EAPOL length", good[:17], FrameShort},
		{"EAPOL version 0", edit(14, 0), BadEAPOLVersion},
		{"EAPOL version 1", edit(14, 1), nil},
		{"EAPOL version 2", edit(14, 2), nil},
		{"EAPOL version 4", edit(14, 4), nil},
		{"EAPOL-Start", edit(15, 1), NotMKA},
		{"EAPOL-Announcement", edit(15, 4), NotMKA},
		{"EAPOL header alone", good[:18], EAPOLTruncated},
		{"one octet missing", good[:len(good)-1], EAPOLTruncated},
		{"one octet of padding", append(bytes.Clone(good), 0), nil},
		{"padding that looks like a set", append(bytes.Clone(good), 1, 0, 0, 16), nil},
		{"EAPOL body of 0", edit(16, 0, 0), BodyShort},
		{"EAPOL body of 28", edit(16, 0, 28), BodyShort},
		{"EAPOL body of 32, no room for the ICV", edit(16, 0, 32), BasicOverrun},
		{"EAPOL body of 51", edit(16, 0, 51), BodyNotMultiple},
		{"EAPOL body of 50", edit(16, 0, 50), BodyNotMultiple},
		{"EAPOL body of 48, CKN in the ICV", edit(16, 0, 48), BasicOverrun},
		{"MKA version 0", edit(18, 0), BadVersion},
		{"MKA version 1", edit(18, 1), nil},
		{"MKA version 200", edit(18, 200), nil},
		{"basic set without a body", edit(20, 0xe0, 0), BasicLength},
		{"CKN of 0 octets", edit(20, 0xe0, 28), BasicLength},
		{"CKN of 1 octet", build(t, basic("1d", "aa000000")), nil},
		{"CKN of 5 octets, no padding", edit(20, 0xe0, 33), BasicOverrun},
		{"CKN of 32 octets", build(t, basic("3c", strings.Repeat("ab", 32))), nil},
		{"CKN of 33 octets", build(t, basic("3d", strings.Repeat("ab", 36))), BasicLength},
		{"basic set of 4095 octets", edit(20, 0xef, 0xff), BasicLength},
		{"agility of 802.1X-2004", edit(46, 0, 0x80, 0xc2, 0), BadAgility},

		{"set into the ICV", build(t, basic4, "01000010"), SetOverrun},
		{"set into its own padding", build(t, basic4, "09000005 00000000"), SetOverrun},
		{"set of 4095 octets", build(t, basic4, "09000fff 00000000"), SetOverrun},
		{"unknown set", build(t, basic4, "09000005 0000000000000000"), nil},
		{"type 0", build(t, basic4, "00000000"), nil},
		{"type 254 twice", build(t, basic4, "fe000000 fe000000"), nil},

		{"live list of 15 octets", build(t, basic4, "0100000f", zero16), PeerListLength},
		{"live list of 20 octets", build(t, basic4, "01000014", zero16, "00000000"), PeerListLength},
		{"empty live list", build(t, basic4, "01000000"), nil},
		{"potential list of 1 octet", build(t, basic4, "02000001 00000000"), PeerListLength},
		{"live list twice", build(t, basic4, "01000000 01000000"), DuplicateSet},
		{"potential list twice, apart", build(t, basic4, "02000000 01000000 02000000"), DuplicateSet},

		{"SAK Use without a body", build(t, basic4, "03000000"), nil},
		{"SAK Use", build(t, basic4, "03100028", useBody), nil},
		{"SAK Use of 36 octets", build(t, basic4, "03100024", useBody[:len(useBody)-8]), SAKUseLength},
		{"SAK Use of 39 octets", build(t, basic4, "03100027", useBody), SAKUseLength},
		{"SAK Use of 44 octets", build(t, basic4, "0310002c", useBody, "00000000"), SAKUseLength},
		{"SAK Use of 44 octets, version 4", build(t, "04"+basic4[2:], "0310002c", useBody, "00000000"), nil},
		{"SAK Use of 36 octets, version 4", build(t, "04"+basic4[2:], "03100024", useBody[:len(useBody)-8]), SAKUseLength},
		{"SAK Use twice", build(t, basic4, "03000000 03000000"), DuplicateSet},

		{"plain text", build(t, basic4, "04000000"), nil},
		{"SAK of 24 octets and no suite", build(t, basic4, "0410001c 00000001", wrap24), nil},
		{"SAK of 4 octets", build(t, basic4, "04100004 00000001"), DistributedSAKLength},
		{"SAK of 27 octets", build(t, basic4, "0410001b 00000001", wrap24), DistributedSAKLength},
		{"SAK of 35 octets", build(t, basic4, "04100023 00000001 0080c20001000003", wrap24), DistributedSAKLength},
		{"XPN-128", build(t, basic4, "04100024 00000001 0080c20001000003", wrap24), nil},
		{"XPN-128 with 40 octets", build(t, basic4, "04100034 00000001 0080c20001000003", wrap24, zero16), DistributedSAKLength},
		{"XPN-256 with 24 octets", build(t, basic4, "04100024 00000001 0080c20001000004", wrap24), DistributedSAKLength},
		{"XPN-256", build(t, basic4, "04100034 00000001 0080c20001000004", wrap24, zero16), nil},
		{"unknown suite", build(t, basic4, "04100024 00000001 00cafe0001000001", wrap24), nil},
		{"unknown suite, no whole semiblocks", build(t, basic4, "04100028 00000001 00cafe0001000001", wrap24, "00000000"), DistributedSAKLength},
		{"SAK twice", build(t, basic4, "04000000 04000000"), DuplicateSet},

		{"distributed CAK twice", build(t, basic4, "05000000 05000000"), DuplicateSet},
		{"KMD twice", build(t, basic4, "06000004 00000000 06000000"), DuplicateSet},
		{"announcement twice", build(t, basic4, "07000000 07000000"), DuplicateSet},

		{"XPN", build(t, basic4, "08780008 0000000100000002"), nil},
		{"XPN without a body", build(t, basic4, "08000000"), XPNLength},
		{"XPN of 4 octets", build(t, basic4, "08000004 00000001"), XPNLength},
		{"XPN of 12 octets", build(t, basic4, "0800000c 000000010000000200000003"), XPNLength},
		{"XPN of 12 octets, version 4", build(t, "04"+basic4[2:], "0800000c 000000010000000200000003"), nil},
		{"XPN twice", build(t, basic4, "08000008 0000000100000002", "08000008 0000000100000002"), DuplicateSet},

		{"ICV Indicator", build(t, basic4, "ff000010"), nil},
		{"ICV Indicator of 0 octets", build(t, basic4, "ff000000"), BadICVIndicator},
		{"ICV Indicator of 32 octets", build(t, basic4, "ff000020", zero16), BadICVIndicator},
		{"ICV Indicator before a set", build(t, basic4, "ff000010 01000000"), BadICVIndicator},
		{"ICV Indicator twice", build(t, basic4, "ff000010 ff000010"), BadICVIndicator},
	} {
		// Exactly as long as it is: a read past the end panics.
		frame := slices.Clip(c.frame)
		p := PDU{Unknown: 99, Live: PeerList{1}, HasUse: true}
		if err := Parse(frame, &p); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if p.Unknown == 99 || len(p.Live) == 1 {
			t.Errorf("%s: the PDU before it shines through: %+v", c.name, p)
		}
		if e, ok := c.want.(Error); ok {
			kind[e]++
		}
	}
	names := map[string]bool{}
	for e := Error(1); e < Errors; e++ {
		if kind[e] == 0 {
			t.Errorf("no frame gives %q", e)
		}
		if names[e.Name()] || e.Name() == "unknown" || e.Error() == Error(0).Error() {
			t.Errorf("error %d has no name of its own", e)
		}
		names[e.Name()] = true
	}
}

// Every set at once, in an order that nobody sends, padded bodies, unknown
// sets between them.
func TestEverySet(t *testing.T) {
	frame := build(t, "0220f01f 0200000000010001 a1a2a3a4a5a6a7a8a9aaabac 00000007 0080c201 01020300",
		"0a000003 ffffff00",
		"083c0008 0000000100000002",
		"07000005 0102030405000000",
		"06000001 0a000000",
		"05000002 0b0c0000",
		"04b00024 00000003 0080020001000001", wrap24,
		"03e7d028", useBody,
		"63000000",
		"02000010", zero16,
		"01050020", ki, zero16,
		"ff000010")
	frame = append(frame, "padding"...)
	var p PDU
	if err := Parse(frame, &p); err != nil {
		t.Fatal(err)
	}
	body := len(frame) - len("padding")
	mi := sa.MI{0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xbb, 0xbc}
	want := PDU{
		Dst: GroupAddress, Src: [6]byte{2, 0, 0, 0, 0, 1}, EtherType: EtherType, EAPOLVersion: 3,
		Version: 2, Priority: 0x20, KeyServer: true, Desired: true, Capability: 3,
		SCI: sa.SCI{2, 0, 0, 0, 0, 1, 0, 1},
		MI:  sa.MI{0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac},
		MN:  7, Agility: Agility, CKN: []byte{1, 2, 3},
		Live: PeerList(nil).Append(mi, 2).Append(sa.MI{}, 0), HasLive: true, KeyServerSSCI: 5,
		Potential: PeerList(nil).Append(sa.MI{}, 0), HasPotential: true,
		Use: SAKUse{
			Latest:  KeyUse{Key: sa.KeyID{MI: mi, KN: 2}, AN: 3, Tx: true, LowestPN: 9},
			Old:     KeyUse{AN: 1, Tx: true, Rx: true},
			PlainTx: true, PlainRx: true, DelayProtect: true,
		}, HasUse: true,
		Distributed: DistributedSAK{AN: 2, ConfidentialityOffset: 3, KN: 3, Suite: 0x0080020001000001,
			Wrapped: []byte("\x11\x11\x11\x11\x11\x11\x11\x11\x22\x22\x22\x22\x22\x22\x22\x22\x33\x33\x33\x33\x33\x33\x33\x33")}, HasDistributed: true,
		DistributedCAK: []byte{0xb, 0xc}, KMD: []byte{0xa}, Announcement: []byte{1, 2, 3, 4, 5},
		XPN: XPN{Suspension: 60, LatestHigh: 1, OldHigh: 2}, HasXPN: true,
		ICVIndicator: true, Unknown: 2,
		Signed: frame[:body-ICVLen], ICV: frame[body-ICVLen : body],
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("parsed\n%+v, want\n%+v", p, want)
	}
	for name, s := range map[string][]byte{"CKN": p.CKN, "Live": p.Live, "Potential": p.Potential, "Wrapped": p.Distributed.Wrapped,
		"CAK": p.DistributedCAK, "KMD": p.KMD, "Announcement": p.Announcement, "Signed": p.Signed, "ICV": p.ICV} {
		if cap(s) != len(s) {
			t.Errorf("to append to %s would write into the frame", name)
		}
	}
	if mn, ok := p.Live.Find(mi); !ok || mn != 2 {
		t.Errorf("Find gives %d, %v", mn, ok)
	}
	if _, ok := p.Potential.Find(mi); ok {
		t.Error("Find gives a peer that is not there")
	}
	if got := p.Live.Len(); got != 2 {
		t.Errorf("%d live peers, want 2", got)
	}
}

func TestAllocations(t *testing.T) {
	frame := mkpdus(t, "xpn256.pcap")[7]
	bad := bytes.Clone(frame)
	bad[18] = 0
	buf := make([]byte, 0, MaxLen)
	var p PDU
	peers := make(PeerList, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		if Parse(bad, &p) == nil || Parse(bad[:9], &p) == nil {
			t.Fatal("a malformed frame is parsed")
		}
		if err := Parse(frame, &p); err != nil {
			t.Fatal(err)
		}
		if len(Append(buf, &p)) != len(frame)-ICVLen || len(peers.Append(p.MI, p.MN)) != peerLen {
			t.Fatal("lost octets")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	frame := mkpdus(b, "xpn256.pcap")[7]
	b.ReportAllocs()
	var p PDU
	for b.Loop() {
		if err := Parse(frame, &p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	var p PDU
	if err := Parse(mkpdus(b, "xpn256.pcap")[7], &p); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, MaxLen)
	b.ReportAllocs()
	for b.Loop() {
		Append(buf, &p)
	}
}
