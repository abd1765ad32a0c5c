package inspect

import (
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// TestVerdict has a case for every reason why a link is down.
func TestVerdict(t *testing.T) {
	const a, b = "0200000000010001", "0200000000020001"
	gcm128 := func(l *link) key { return key{server: l.a, kn: 1, suite: sa.GCMAES128, code: 1} }
	for _, c := range []struct {
		name string
		run  func(*link)
		want []string
	}{
		{"up", func(l *link) { l.agree(gcm128(l)) }, []string{
			"CKN 6c696e6b: up", a + " (key server) and " + b + " receive and transmit under SAK 010101010101010101010101/1, gcm-aes-128, AN 0, since frame 6", "MACsec frames: none"}},
		{"CAK differs", func(l *link) {
			l.b.cak = testCAK(2)
			l.see(l.a.hello(nil))
			l.see(l.b.hello(nil))
		}, []string{"CKN 6c696e6b: down", "CAK differs: every ICV of " + b + " (1 MKPDU) is wrong", "never list each other"}},
		{"another CAK given", func(l *link) {
			l.a.cak, l.b.cak = testCAK(2), testCAK(2)
			l.agreeUnchecked(gcm128(l))
		}, []string{"ICV bad: every MKPDU is wrong under the CAK given, yet " + a + " and " + b + " accept each other"}},
		{"forged among good", func(l *link) {
			l.agree(gcm128(l))
			f := l.a.hello(nil)
			f[len(f)-1] ^= 1
			l.see(f)
		}, []string{"CKN 6c696e6b: up", "ICV bad: 1 of 4 MKPDUs of " + a}},
		{"CKN unknown", func(l *link) {
			l.a.ckn, l.b.ckn = []byte("other"), []byte("other")
			l.agreeUnchecked(gcm128(l))
		}, []string{"CKN 6f74686572: up", "CKN unknown: no CAK was given", "CKN 6c696e6b: no MKPDU of it"}},
		{"CKN differs", func(l *link) {
			l.b.ckn = []byte("other")
			l.see(l.a.hello(nil))
			l.see(l.b.hello(nil))
		}, []string{"CKN differs: " + a + " speaks only under 6c696e6b and " + b + " only under 6f74686572"}},
		{"alone", func(l *link) { l.see(l.a.hello(nil)) }, []string{"no live peer: " + a + " is alone under this CKN"}},
		{"fell silent", func(l *link) {
			l.agree(gcm128(l))
			l.now = l.now.Add(7 * time.Second)
			l.see(l.a.hello(nil))
		}, []string{"CKN 6c696e6b: down", b + " was not heard in the last 7.01s of the capture", a + " is alone"}},
		{"one way", func(l *link) {
			l.see(l.a.hello(nil))
			l.see(l.b.hello(nil, l.a))
			l.see(l.a.hello(nil))
		}, []string{"one way: " + b + " lists " + a + ", but not the reverse: the MKPDUs of " + b + " do not reach " + a}},
		{"potential", func(l *link) {
			l.see(l.a.hello(nil))
			l.see(l.b.hello(nil, l.a))
			l.see(l.a.hello(func(p *mkpdu.PDU) { p.HasPotential = true; p.Potential = p.Potential.Append(l.b.mi, 1) }))
		}, []string{"know each other, but are not yet live"}},
		{"no key server", func(l *link) {
			l.a.server, l.a.priority, l.b.priority = false, 255, 255
			l.meet()
		}, []string{"no key server: every member has priority 255"}},
		{"nobody announces", func(l *link) {
			l.a.server = false
			l.meet()
		}, []string{"no key server: no member announces itself"}},
		{"no SAK", func(l *link) { l.meet() }, []string{"the key server distributed no SAK in this capture"}},
		{"no MACsec", func(l *link) {
			l.see(l.a.hello(nil))
			l.see(l.b.hello(func(p *mkpdu.PDU) { p.Desired, p.Capability = false, 0 }, l.a))
			l.see(l.a.hello(nil, l.b))
		}, []string{b + " does not ask for MACsec (desired false, capability 0)"}},
		{"cipher refused", func(l *link) {
			l.meet()
			k := key{server: l.a, kn: 1, suite: sa.GCMAESXPN256, code: 1}
			l.see(l.a.hello(k.distribute, l.b))
			l.see(l.b.hello(nil, l.a))
			l.see(l.a.hello(k.use(false), l.b))
		}, []string{"cipher refused: SAK 010101010101010101010101/1 (gcm-aes-xpn-256, frame 4) is for " + b + ", which never announced to receive"}},
		{"not transmitting", func(l *link) {
			l.meet()
			k := gcm128(l)
			l.see(l.a.hello(func(p *mkpdu.PDU) { k.distribute(p); k.use(false)(p) }, l.b))
			l.see(l.b.hello(k.use(true), l.a))
		}, []string{a + " does not transmit and receive under SAK 010101010101010101010101/1 at the end"}},
		{"unknown suite", func(l *link) {
			l.meet()
			r := l.see(l.a.hello(func(p *mkpdu.PDU) {
				p.HasDistributed = true
				p.Distributed = mkpdu.DistributedSAK{KN: 1, Suite: 0x0080c20001000009, Wrapped: make([]byte, 24)}
			}, l.b))
			if r.Error == "" {
				t.Errorf("no error: %s", r.Text())
			}
		}, []string{"cipher suite 0080c20001000009 of SAK 010101010101010101010101/1 is none of"}},
		{"plain text", func(l *link) {
			l.meet()
			l.see(l.a.hello(func(p *mkpdu.PDU) { p.HasDistributed, p.Distributed.PlainText = true, true }, l.b))
		}, []string{"CKN 6c696e6b: down", "plain text: key server " + a + " distributes no SAK"}},
		{"restart and replay", func(l *link) {
			first := l.b.hello(nil)
			l.see(first)
			l.see(first)
			l.b.mi[0] = 0xff
			l.see(l.b.hello(nil))
		}, []string{b + " restarted: its MI changed once", "1 MKPDU of " + b + " did not raise the MN"}},
		{"traffic", func(l *link) {
			k := gcm128(l)
			l.see(k.frame(l.a, softsecy.SC, 1, 0))
			l.agree(k)
			l.see(k.frame(l.a, softsecy.SC, 2, 0))
			l.see(l.a.plain())
			l.see(append([]byte("\x01\x80\xc2\x00\x00\x00"+string(l.a.mac[:])), 0, 38, 0x42, 0x42, 3))
		}, []string{"MACsec frames: 2: 1 verified, 0 with a wrong ICV, 1 under no known key", "of SCI " + a + ": 1 verified, 0 with a wrong ICV, 1 under no known key", "clear frames besides: 2, not protected ("}},
		{"nothing", func(*link) {}, []string{"no MKPDU in this capture", "MACsec frames: none"}},
		{"malformed", func(l *link) {
			f := l.a.hello(nil)
			f[18+30] = 9 // algorithm agility
			l.see(f)
		}, []string{"1 MKPDU could not be read"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLink(t)
			c.run(l)
			l.wantVerdict(c.want...)
		})
	}
}

// meet has both ends list each other live, and no more.
func (l *link) meet() {
	l.see(l.a.hello(nil))
	l.see(l.b.hello(nil, l.a))
	l.see(l.a.hello(nil, l.b))
}

// agreeUnchecked is agree whatever the Inspector thinks of the ICVs.
func (l *link) agreeUnchecked(k key) {
	l.meet()
	l.see(l.a.hello(k.distribute, l.b))
	l.see(l.b.hello(k.use(true), l.a))
	l.see(l.a.hello(k.use(true), l.b))
}
