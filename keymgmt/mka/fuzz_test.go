package mka

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// FuzzReceive gives the semantic layer hostile content: a pair on two CKNs, and
// between their own MKPDUs others that the fuzzer has made of theirs, signed
// with a good ICV as only a member could. Nothing panics, the SecYs are never
// asked for what none may be asked, no deadline spins, and memory stays
// bounded. What a false member says may well cost the link.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 10, 1, 1, 3, 7, 0, 1, 200, 4, 0, 0, 0, 8, 40, 2, 9, 9, 1, 0, 11, 50, 60, 0, 12, 1, 2})
	f.Add([]byte{1, 0, 2, 2, 13, 14, 3, 5, 120, 0, 255, 1, 6, 1, 3, 0, 0, 20, 4, 1, 2, 15, 16, 17, 18, 19})
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newWorld(t, 2, 1)
		w.loose = true
		keys := []Key{testKey(1), testKey(2)}
		var last [2][]byte
		w.tap = func(from int, frame []byte) []byte { last[from] = frame; return frame }
		w.start(0, keys...)
		w.start(1, keys...)
		w.run(500 * time.Millisecond)
		r := reader{script}
		for n := 0; len(r.b) > 0 && n < 60; n++ {
			to := int(r.byte() & 1)
			w.run(time.Duration(r.byte()&31) * 60 * time.Millisecond)
			frame := edit(last[1-to], keys, func(d *mkpdu.PDU) {
				for range 1 + r.byte()&7 {
					r.mutate(d, w.nodes[to])
				}
			})
			w.step(to, Event{Kind: Received, Frame: frame})
			for _, p := range w.nodes[to].e.participants {
				if len(p.peers) > maxPeers || len(p.tombs) > maxPeers {
					t.Fatalf("%d peers, %d tombs", len(p.peers), len(p.tombs))
				}
			}
			if n := len(w.nodes[to].e.changes); n > 100 {
				t.Fatalf("%d changes wait", n)
			}
		}
	})
}

// reader spends the fuzzer's octets; there are always more, zero.
type reader struct{ b []byte }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) fill(b []byte) {
	for i := range b {
		b[i] = r.byte()
	}
}

func (r *reader) word() uint32 {
	var b [4]byte
	r.fill(b[:])
	return binary.BigEndian.Uint32(b[:])
}

// known is an MI that means something, or any.
func (r *reader) known(d *mkpdu.PDU, n *node) (mi sa.MI) {
	switch r.byte() & 3 {
	case 0:
		return d.MI
	case 1:
		return n.e.participants[0].mi
	case 2:
		return n.e.participants[len(n.e.participants)-1].mi
	}
	r.fill(mi[:3])
	return mi
}

// mutate changes one thing in an MKPDU on its way to n.
func (r *reader) mutate(d *mkpdu.PDU, n *node) {
	switch r.byte() % 18 {
	case 0:
		d.MN += uint32(r.byte())
	case 1:
		d.MN = r.word()
	case 2:
		d.MI = r.known(d, n)
	case 3:
		d.SCI[5] = r.byte()
	case 4:
		d.Priority = r.byte()
	case 5:
		d.KeyServer = !d.KeyServer
	case 6:
		d.HasDistributed = true
		d.Distributed = mkpdu.DistributedSAK{AN: r.byte() & 3, ConfidentialityOffset: r.byte() & 3, KN: uint32(r.byte()), Suite: sa.GCMAES256.ID(), Wrapped: make([]byte, 40)}
	case 7:
		d.HasDistributed, d.Distributed = true, mkpdu.DistributedSAK{PlainText: true}
	case 8:
		d.HasXPN, d.XPN.Suspension = true, r.byte()
	case 9:
		d.HasUse = true
		k := &d.Use.Latest
		if r.byte()&1 == 1 {
			k = &d.Use.Old
		}
		k.Key, k.AN, k.Tx, k.Rx, k.LowestPN = sa.KeyID{MI: r.known(d, n), KN: uint32(r.byte() & 7)}, r.byte()&3, r.byte()&1 == 1, r.byte()&1 == 1, r.word()
	case 10:
		d.Live, d.HasLive = nil, false
	case 11, 12:
		d.Live, d.HasLive = d.Live.Append(r.known(d, n), uint32(r.byte())), true
	case 13:
		d.Potential, d.HasPotential = d.Potential.Append(r.known(d, n), n.e.participants[0].mn), true
	case 14:
		d.Live, d.HasLive = d.Live.Append(n.e.participants[r.byte()&1%byte(len(n.e.participants))].mi, n.e.participants[0].mn), true
	case 15:
		d.HasUse, d.Use = true, mkpdu.SAKUse{Empty: true}
	case 16:
		if d.HasDistributed && !d.Distributed.PlainText {
			d.Distributed.KN += uint32(r.byte())
		}
	case 17:
		d.KeyServerSSCI = r.byte()
	}
}
