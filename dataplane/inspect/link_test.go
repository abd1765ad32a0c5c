package inspect

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/mka/kdf"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// node makes the frames of one end of a link.
type node struct {
	t        testing.TB
	mac      [6]byte
	port     uint16
	mi       sa.MI
	mn       uint32
	priority uint8
	server   bool
	ckn      []byte
	cak      *secret.Key
	vlans    string // in clear, before EAPOL and SecTAG
}

func testCAK(fill byte) *secret.Key { return secret.New(bytes.Repeat([]byte{fill}, 16)) }

func newNode(t testing.TB, id byte) *node {
	return &node{
		t: t, mac: [6]byte{2, 0, 0, 0, 0, id}, port: 1, mi: sa.MI(bytes.Repeat([]byte{id}, 12)),
		priority: 16, server: id == 1, ckn: []byte("link"), cak: testCAK(1),
	}
}

func (n *node) sci() sa.SCI { return sa.NewSCI(n.mac, n.port) }

// hello is the node's next MKPDU, with live its live peers and what set adds.
func (n *node) hello(set func(*mkpdu.PDU), live ...*node) []byte {
	n.t.Helper()
	n.mn++
	p := mkpdu.PDU{
		Dst: mkpdu.GroupAddress, Src: n.mac, EtherType: 0x888e, EAPOLVersion: 3, Version: 3,
		Priority: n.priority, KeyServer: n.server, Desired: true, Capability: 2, SCI: n.sci(), MI: n.mi, MN: n.mn,
		Agility: mkpdu.Agility, CKN: n.ckn, HasLive: len(live) > 0,
	}
	for _, l := range live {
		p.Live = p.Live.Append(l.mi, l.mn)
	}
	if set != nil {
		set(&p)
	}
	ick, err := kdf.ICK(n.cak, n.ckn)
	if err != nil {
		n.t.Fatal(err)
	}
	mac, err := kdf.NewCMAC(ick.Bytes())
	if err != nil {
		n.t.Fatal(err)
	}
	frame := mkpdu.Append(nil, &p)
	if len(frame) == 0 {
		n.t.Fatal("MKPDU not encodable")
	}
	frame = mac.Append(frame, frame)
	return []byte(string(frame[:12]) + n.vlans + string(frame[12:]))
}

// key is a SAK as node server distributes it.
type key struct {
	server *node
	kn     uint32
	an     uint8
	suite  sa.Suite
	code   uint8 // confidentiality offset: 0 integrity only, 1 0, 2 30, 3 50
}

func (k key) id() sa.KeyID { return sa.KeyID{MI: k.server.mi, KN: k.kn} }

func (k key) octets() *secret.Key {
	return secret.New(bytes.Repeat([]byte{byte(k.kn)}, k.suite.KeyLen()))
}

func (k key) distribute(p *mkpdu.PDU) {
	kek, err := kdf.KEK(k.server.cak, k.server.ckn)
	if err != nil {
		k.server.t.Fatal(err)
	}
	wrapped, err := kdf.Wrap(nil, kek, k.octets())
	if err != nil {
		k.server.t.Fatal(err)
	}
	p.HasDistributed = true
	p.Distributed = mkpdu.DistributedSAK{AN: k.an, ConfidentialityOffset: k.code, KN: k.kn, Suite: k.suite.ID(), Wrapped: wrapped}
}

// use announces the key: receive, and transmit if tx.
func (k key) use(tx bool) func(*mkpdu.PDU) {
	return func(p *mkpdu.PDU) {
		p.HasUse = true
		p.Use.Latest = mkpdu.KeyUse{Key: k.id(), AN: k.an, Rx: true, Tx: tx, LowestPN: 1}
	}
}

// frame is an MPDU of from under the key. ssci is for XPN.
func (k key) frame(from *node, tci softsecy.TCI, pn uint64, ssci uint32) []byte {
	from.t.Helper()
	soft, err := softsecy.NewKey(softsecy.Params{Suite: k.suite, SAK: k.octets(), Offset: offsetOf(k.code)})
	if err != nil {
		from.t.Fatal(err)
	}
	if k.code != 0 {
		tci |= softsecy.E | softsecy.C
	}
	tag := softsecy.SecTAG{TCI: tci, AN: k.an, PN: uint32(pn), SCI: from.sci()}
	iv := softsecy.IV32(from.sci(), uint32(pn))
	if k.suite.XPN() {
		iv = softsecy.IVXPN(ssci, pn, kdf.Salt(k.id()))
	}
	out, err := soft.Protect(nil, from.plain(), len(from.vlans), tag, iv)
	if err != nil {
		from.t.Fatal(err)
	}
	return out
}

// plain is the frame that the node sends when protected.
func (n *node) plain() []byte {
	return append([]byte("\x02\x00\x00\x00\x00\xff"+string(n.mac[:])+n.vlans+"\x08\x00"), bytes.Repeat([]byte{0xa5}, 100)...)
}

// link is two ends and the Inspector that watches them.
type link struct {
	*Inspector
	t    testing.TB
	a, b *node // a is the key server
	now  time.Time
}

func newLink(t testing.TB) *link {
	a, b := newNode(t, 1), newNode(t, 2)
	in := newInspector(t, Options{CAKs: []CAK{{CKN: a.ckn, CAK: a.cak}}, ShowKeys: true})
	return &link{Inspector: in, t: t, a: a, b: b, now: time.Unix(1e9, 0)}
}

func (l *link) see(frame []byte) Record {
	l.now = l.now.Add(10 * time.Millisecond)
	return l.Frame(l.now, frame, len(frame))
}

// agree has both ends list each other, take k and use it.
func (l *link) agree(k key) {
	l.t.Helper()
	for _, f := range [][]byte{
		l.a.hello(nil), l.b.hello(nil, l.a), l.a.hello(k.distribute, l.b),
		l.b.hello(k.use(false), l.a), l.a.hello(k.use(true), l.b), l.b.hello(k.use(true), l.a),
	} {
		if r := l.see(f); r.Kind != KindMKA || r.MKA.ICV != ICVOK || r.Error != "" {
			l.t.Fatalf("frame %d: %s %+v", r.Frame, r.Text(), r.MKA)
		}
	}
}

// wantMACsec holds a MACsec record against what is expected of it.
func (l *link) wantMACsec(r Record, icv string, from *node, pn uint64) {
	l.t.Helper()
	m := r.MACsec
	if m == nil || m.ICV != icv {
		l.t.Fatalf("icv is not %s: %s", icv, r.Text())
	}
	if icv != ICVOK {
		return
	}
	if m.SCI != from.sci().String() || m.PN != pn || m.Plaintext != hexOf(from.plain()) {
		l.t.Errorf("SCI %s PN %#x, want %s %#x; plaintext %s, want %x", m.SCI, m.PN, from.sci(), pn, m.Plaintext, from.plain())
	}
}

func (l *link) wantVerdict(parts ...string) {
	l.t.Helper()
	verdict := strings.Join(l.Verdict(), "\n")
	for _, p := range parts {
		if !strings.Contains(verdict, p) {
			l.t.Errorf("no %q in the verdict:\n%s", p, verdict)
		}
	}
}

func saltOf(k key) [12]byte { return kdf.Salt(k.id()) }
