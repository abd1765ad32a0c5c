package mkpdu

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"pgregory.net/rapid"
)

func drawPDU(t *rapid.T) *PDU {
	yes := func(name string) bool { return rapid.Bool().Draw(t, name) }
	u8 := func(name string, most uint8) uint8 { return rapid.Uint8Range(0, most).Draw(t, name) }
	u32 := func(name string) uint32 { return rapid.Uint32().Draw(t, name) }
	bytesOf := func(name string, least, most int) []byte {
		return rapid.SliceOfN(rapid.Byte(), least, most).Draw(t, name)
	}
	mi := func(name string) sa.MI { return sa.MI(bytesOf(name, 12, 12)) }
	peers := func(name string) (l PeerList) {
		l = PeerList{}
		for range rapid.IntRange(0, 4).Draw(t, name) {
			l = l.Append(mi(name), u32(name))
		}
		return l
	}
	p := &PDU{
		Dst: GroupAddress, Src: [6]byte(bytesOf("src", 6, 6)), EtherType: rapid.Uint16().Draw(t, "ethertype"),
		EAPOLVersion: rapid.Uint8Range(1, 3).Draw(t, "eapol"), Version: rapid.Uint8Range(1, 3).Draw(t, "version"),
		Priority: u8("priority", 255), KeyServer: yes("ks"), Desired: yes("desired"), Capability: u8("capability", 3),
		SCI: sa.SCI(bytesOf("sci", 8, 8)), MI: mi("mi"), MN: u32("mn"), Agility: Agility, CKN: bytesOf("ckn", 1, 32),
		HasLive: yes("live"), HasPotential: yes("potential"), HasUse: yes("use"), HasDistributed: yes("distributed"),
		HasXPN: yes("xpn"), ICVIndicator: yes("indicator"),
	}
	if p.HasLive {
		p.Live, p.KeyServerSSCI = peers("live peer"), u8("ssci", 255)
	}
	if p.HasPotential {
		p.Potential = peers("potential peer")
	}
	if p.HasUse {
		use := func(name string, empty bool) (k KeyUse) {
			k.AN, k.Tx, k.Rx = u8(name+" an", 3), yes(name+" tx"), yes(name+" rx")
			if !empty {
				k.Key, k.LowestPN = sa.KeyID{MI: mi(name), KN: u32(name + " kn")}, u32(name+" pn")
			}
			return k
		}
		p.Use.Empty = yes("empty")
		p.Use.Latest, p.Use.Old = use("latest", p.Use.Empty), use("old", p.Use.Empty)
		p.Use.PlainTx, p.Use.PlainRx, p.Use.DelayProtect = yes("ptx"), yes("prx"), yes("dp")
	}
	if p.HasDistributed {
		d := &p.Distributed
		d.AN, d.ConfidentialityOffset = u8("an", 3), u8("offset", 3)
		if d.PlainText = yes("plain text"); !d.PlainText {
			s := rapid.SampledFrom(sa.Suites()).Draw(t, "suite")
			d.KN, d.Suite = u32("kn"), s.ID()
			d.Wrapped = bytesOf("wrapped", s.KeyLen()+8, s.KeyLen()+8)
		}
	}
	if p.HasXPN {
		p.XPN = XPN{u8("suspension", 255), u32("latest high"), u32("old high")}
	}
	for _, raw := range []*[]byte{&p.DistributedCAK, &p.KMD, &p.Announcement} {
		if yes("raw set") {
			*raw = bytesOf("raw", 0, 40)
		}
	}
	return p
}

// Whatever can be said is said and understood, behind what dst held, in as
// many octets as Len tells.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPDU(t)
		const before = "before"
		out := Append([]byte(before), p)
		if !bytes.HasPrefix(out, []byte(before)) {
			t.Fatalf("dst became %x", out)
		}
		frame := append(out[len(before):], bytes.Repeat([]byte{0xcc}, ICVLen)...)
		if len(frame) != p.Len() {
			t.Fatalf("%d octets, Len tells %d", len(frame), p.Len())
		}
		var got PDU
		if err := Parse(append(frame, make([]byte, rapid.IntRange(0, 9).Draw(t, "padding"))...), &got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Signed, frame[:len(frame)-ICVLen]) || !bytes.Equal(got.ICV, frame[len(frame)-ICVLen:]) {
			t.Fatal("Signed and ICV are not the frame")
		}
		got.Signed, got.ICV = nil, nil
		if d := cmp.Diff(p, &got); d != "" {
			t.Fatalf("sent (-) and understood (+) differ:\n%s", d)
		}
	})
}

func TestCannotBeEncoded(t *testing.T) {
	for name, change := range map[string]func(p *PDU){
		"no CKN":              func(p *PDU) { p.CKN = nil },
		"CKN of 33 octets":    func(p *PDU) { p.CKN = make([]byte, 33) },
		"half a live peer":    func(p *PDU) { p.HasLive, p.Live = true, make(PeerList, 8) },
		"256 live peers":      func(p *PDU) { p.HasLive, p.Live = true, make(PeerList, 4096) },
		"half a potential":    func(p *PDU) { p.HasPotential, p.Potential = true, make(PeerList, 24) },
		"256 potential peers": func(p *PDU) { p.HasPotential, p.Potential = true, make(PeerList, 4096) },
		"no wrapped SAK":      func(p *PDU) { p.HasDistributed = true },
		"short wrapped SAK": func(p *PDU) {
			p.HasDistributed, p.Distributed = true, DistributedSAK{Suite: sa.GCMAES256.ID(), Wrapped: make([]byte, 24)}
		},
		"unknown suite, odd SAK": func(p *PDU) {
			p.HasDistributed, p.Distributed = true, DistributedSAK{Suite: 1, Wrapped: make([]byte, 28)}
		},
		"unknown suite, endless SAK": func(p *PDU) {
			p.HasDistributed, p.Distributed = true, DistributedSAK{Suite: 1, Wrapped: make([]byte, 4096)}
		},
		"long KMD":          func(p *PDU) { p.KMD = make([]byte, 4096) },
		"long CAK":          func(p *PDU) { p.DistributedCAK = make([]byte, 4096) },
		"long announcement": func(p *PDU) { p.Announcement = make([]byte, 4096) },
	} {
		p := &PDU{Version: Version, EAPOLVersion: EAPOLVersion, Agility: Agility, CKN: []byte{1}}
		if p.Len() != 18+4+28+4+16 {
			t.Fatalf("Len %d before the change", p.Len())
		}
		change(p)
		if got := Append([]byte("kept"), p); p.Len() != 0 || string(got) != "kept" {
			t.Errorf("%s: Len %d, appended %x", name, p.Len(), got)
		}
	}
	p := &PDU{Version: Version, EAPOLVersion: EAPOLVersion, Agility: Agility, CKN: make([]byte, 32),
		HasLive: true, Live: make(PeerList, 255*16), HasPotential: true, Potential: make(PeerList, 255*16),
		DistributedCAK: make([]byte, 4095), KMD: make([]byte, 4095), Announcement: make([]byte, 4095)}
	var got PDU
	frame := append(Append(nil, p), make([]byte, ICVLen)...)
	if err := Parse(frame, &got); err != nil || got.Live.Len() != 255 || len(got.KMD) != 4095 || len(frame) != p.Len() {
		t.Errorf("the longest bodies: %v, %d octets", err, len(frame))
	}
}

// GCM-AES-128 goes without a suite however it came: by hostap's misprint of
// its identifier, by the standard's, or with none.
func TestGCMAES128(t *testing.T) {
	none := build(t, basic4, "0410001c 00000001", wrap24)
	for _, id := range []string{"0080c20001000001", "0080020001000001"} {
		var p PDU
		if err := Parse(build(t, basic4, "04100024 00000001", id, wrap24), &p); err != nil {
			t.Fatal(err)
		}
		if s, ok := sa.SuiteFromID(p.Distributed.Suite); !ok || s != sa.GCMAES128 {
			t.Errorf("%s is suite %x", id, p.Distributed.Suite)
		}
		if got := append(Append(nil, &p), p.ICV...); !bytes.Equal(got, none) {
			t.Errorf("%s is sent as\n%x, want\n%x", id, got, none)
		}
	}
}
