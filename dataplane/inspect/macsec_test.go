package inspect

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// TestForms goes over every suite, offset, way of telling the SCI, and VLAN
// tags in clear before EAPOL and SecTAG.
func TestForms(t *testing.T) {
	for _, suite := range sa.Suites() {
		for code := range uint8(4) {
			if suite.XPN() && code > 1 {
				continue
			}
			for _, vlans := range []string{"", "\x81\x00\x00\x64", "\x88\xa8\x00\x0a\x81\x00\x60\x64"} {
				for _, tci := range []softsecy.TCI{softsecy.SC, softsecy.ES, 0} {
					t.Run(fmt.Sprintf("%v/%d/%d/%v", suite, code, len(vlans)/4, tci), func(t *testing.T) {
						l := newLink(t)
						l.a.vlans, l.b.vlans = vlans, vlans
						if tci == 0 {
							l.b.port = 7 // known from MKA alone
						}
						k := key{server: l.a, kn: 1, an: 2, suite: suite, code: code}
						l.agree(k)
						for pn := uint64(1); pn < 4; pn++ {
							l.wantMACsec(l.see(k.frame(l.a, tci, pn, 2)), ICVOK, l.a, pn)
							r := l.see(k.frame(l.b, tci, pn, 1))
							l.wantMACsec(r, ICVOK, l.b, pn)
							if len(r.VLANs) != len(vlans)/4 || r.Hint != "" || r.MACsec.Encrypted != (code != 0) {
								t.Errorf("%s", r.Text())
							}
						}
						bad := k.frame(l.a, tci, 9, 2)
						bad[len(bad)-1] ^= 1
						l.wantMACsec(l.see(bad), ICVBad, l.a, 9)
						l.wantVerdict("CKN 6c696e6b: up", suite.String()+", AN 2, since frame 6", "MACsec frames: 7: 6 verified, 1 with a wrong ICV")
					})
				}
			}
		}
	}
}

func TestVLANs(t *testing.T) {
	l := newLink(t)
	l.a.vlans = "\x88\xa8\x50\x0a\x81\x00\x00\x64"
	r := l.see(l.a.hello(nil))
	want := []VLAN{{TPID: "0x88a8", PCP: 2, DEI: true, VID: 10}, {TPID: "0x8100", VID: 100}}
	if fmt.Sprint(r.VLANs) != fmt.Sprint(want) || r.MKA.ICV != ICVOK {
		t.Errorf("%v, want %v: %s", r.VLANs, want, r.Text())
	}
	if !strings.Contains(r.Text(), "vlan 10 (0x88a8) vlan 100") {
		t.Errorf("%s", r.Text())
	}
}

// TestRekey keeps old SAKs for late frames and takes a new one under an AN
// that was used before.
func TestRekey(t *testing.T) {
	l := newLink(t)
	var keys []key
	for kn := uint32(1); kn <= 6; kn++ {
		k := key{server: l.a, kn: kn, an: uint8(kn) % 4, suite: sa.GCMAES128, code: 1}
		keys = append(keys, k)
		early := l.see(k.frame(l.a, softsecy.SC, 1, 0))
		if kn <= 4 {
			l.wantMACsec(early, ICVNoKey, l.a, 1) // before its SAK in the file
		}
		l.agree(k)
		l.wantMACsec(l.see(k.frame(l.a, softsecy.SC, 2, 0)), ICVOK, l.a, 2)
	}
	// 5 and 6 took the ANs of 1 and 2, whose late frames still verify.
	for i, k := range keys {
		r := l.see(k.frame(l.b, softsecy.SC, 100, 0))
		l.wantMACsec(r, ICVOK, l.b, 100)
		if want := keys[i].id().String(); r.MACsec.Key != want {
			t.Errorf("key %s, want %s", r.MACsec.Key, want)
		}
	}
	if n := len(l.cas[0].saks[1]); n != 2 {
		t.Errorf("%d SAKs under AN 1, want 2", n)
	}
}

// TestRedistributed: a SAK is sent again with every MKPDU; it is one SAK.
func TestRedistributed(t *testing.T) {
	l := newLink(t)
	k := key{server: l.a, kn: 1, suite: sa.GCMAES128, code: 1}
	for range 10 {
		l.agree(k)
	}
	if n := len(l.cas[0].saks[0]); n != 1 {
		t.Errorf("%d SAKs, want 1", n)
	}
	other := k
	other.suite = sa.GCMAES256
	if r := l.see(l.a.hello(other.distribute, l.b)); !strings.Contains(r.Error, "was distributed before") {
		t.Errorf("a key identifier with a second SAK: %s", r.Text())
	}
}

// TestXPN has packet numbers cross 2^32, start high as MKA announces, and
// arrive late.
func TestXPN(t *testing.T) {
	l := newLink(t)
	k := key{server: l.a, kn: 1, an: 1, suite: sa.GCMAESXPN128, code: 1}
	l.agree(k)
	high := func(p *mkpdu.PDU) {
		k.use(true)(p)
		p.Use.Latest.LowestPN = 0xfffffff0
		p.HasXPN, p.XPN.LatestHigh = true, 5
	}
	r := l.see(l.b.hello(high, l.a))
	if got := r.MKA.SAKUse.Latest.LowestPN; got != 0x5_fffffff0 {
		t.Errorf("lowest PN %#x", got)
	}
	for _, pn := range []uint64{0x5_fffffff5, 0x5_ffffffff, 0x6_00000000, 0x6_00000001, 0x5_fffffffe, 0x6_80000000, 0x6_ffffffff, 0x7_00000000} {
		l.wantMACsec(l.see(k.frame(l.b, softsecy.SC, pn, 1)), ICVOK, l.b, pn)
	}
	// a announced nothing of its own; the high word that any member has
	// reached is the first guess.
	l.wantMACsec(l.see(k.frame(l.a, softsecy.SC, 0x7_00000003, 2)), ICVOK, l.a, 0x7_00000003)
}

// TestSSCI: numbering by the standard, by the key server's word, and by
// neither.
func TestSSCI(t *testing.T) {
	k := func(l *link) key { return key{server: l.a, kn: 1, an: 1, suite: sa.GCMAESXPN256, code: 1} }
	t.Run("key server's octet", func(t *testing.T) {
		l := newLink(t)
		l.see(l.a.hello(nil))
		l.see(l.b.hello(nil, l.a))
		l.see(l.a.hello(func(p *mkpdu.PDU) { k(l).distribute(p); p.KeyServerSSCI = 1 }, l.b))
		for i, n := range []*node{l.a, l.b} {
			r := l.see(k(l).frame(n, softsecy.SC, 1, uint32(i+1)))
			l.wantMACsec(r, ICVOK, n, 1)
			if r.Hint != "" {
				t.Errorf("hint %q", r.Hint)
			}
		}
	})
	t.Run("out of order", func(t *testing.T) {
		l := newLink(t)
		l.agree(k(l))
		r := l.see(k(l).frame(l.a, softsecy.SC, 1, 1))
		l.wantMACsec(r, ICVOK, l.a, 1)
		if !strings.Contains(r.Hint, "SSCI 1 where 2 was expected") {
			t.Errorf("hint %q", r.Hint)
		}
		if r := l.see(k(l).frame(l.a, softsecy.SC, 2, 1)); r.Hint != "" || r.MACsec.ICV != ICVOK {
			t.Errorf("the second frame: %s", r.Text())
		}
	})
	t.Run("three members", func(t *testing.T) {
		l := newLink(t)
		c := newNode(t, 3)
		l.see(c.hello(nil, l.a, l.b))
		l.see(l.b.hello(nil, l.a, c))
		l.see(l.a.hello(k(l).distribute, l.b, c))
		for i, n := range []*node{c, l.b, l.a} {
			r := l.see(k(l).frame(n, softsecy.SC, 1, uint32(i+1)))
			l.wantMACsec(r, ICVOK, n, 1)
			if r.Hint != "" {
				t.Errorf("hint %q", r.Hint)
			}
		}
	})
}

// TestUnheardMember: where one direction's MKPDUs were not captured, its
// frames verify all the same.
func TestUnheardMember(t *testing.T) {
	for _, suite := range []sa.Suite{sa.GCMAES256, sa.GCMAESXPN256} {
		l := newLink(t)
		k := key{server: l.a, kn: 1, suite: suite, code: 1}
		l.see(l.a.hello(k.distribute, l.b))
		l.wantMACsec(l.see(k.frame(l.b, softsecy.SC, 1, 1)), ICVOK, l.b, 1)
		stranger := newNode(t, 9)
		foreign := key{server: stranger, kn: 5, suite: suite, code: 1}
		l.wantMACsec(l.see(foreign.frame(stranger, softsecy.SC, 1, 1)), ICVNoKey, stranger, 1)
	}
}

// TestBareSAK is frames alone with the caller's SAK: every Annex C frame's
// form is in softsecy's tests; here the offset and the SSCI are found.
func TestBareSAK(t *testing.T) {
	a, b := newNode(t, 1), newNode(t, 2)
	for _, suite := range sa.Suites() {
		for code := range uint8(4) {
			if suite.XPN() && code > 1 {
				continue
			}
			k := key{server: a, kn: 3, an: 1, suite: suite, code: code}
			bare := SAK{SAK: k.octets(), Suite: suite, SCI: b.sci(), PNHigh: 4, SSCI: 0x7a30c118}
			high := uint64(0)
			if suite.XPN() {
				bare.Salt = saltOf(k)
				high = 4 << 32
			}
			l := &link{Inspector: newInspector(t, Options{SAKs: []SAK{bare}, ShowKeys: true}), t: t}
			l.wantMACsec(l.see(k.frame(a, softsecy.SC, high+1, 2)), ICVOK, a, high+1)
			l.wantMACsec(l.see(k.frame(b, 0, high+1, 0x7a30c118)), ICVOK, b, high+1)
			bad := k.frame(a, softsecy.SC, high+2, 2)
			bad[20] ^= 1
			l.wantMACsec(l.see(bad), ICVBad, a, high+2)
		}
	}
	if _, err := New(Options{SAKs: []SAK{{Suite: sa.GCMAES256, SAK: secret.New(make([]byte, 16))}}}); err == nil {
		t.Error("a SAK of the wrong length is taken")
	}
}
