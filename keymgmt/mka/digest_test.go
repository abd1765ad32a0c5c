package mka

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// digester names a state of the explorer's by what can still matter: instants
// relative to now, MNs relative to their owner's latest, MIs by the order in
// which they are met. PNs do not move in the explorer and counters do not
// matter.
type digester struct {
	b   []byte
	now time.Duration
	mis map[sa.MI]byte
	mns map[sa.MI]uint32
}

// horizon is longer ago than anything that the engine looks back to.
const horizon = 6 * DefaultLife

func (d *digester) bools(all ...bool) {
	for _, v := range all {
		c := byte(0)
		if v {
			c = 1
		}
		d.b = append(d.b, c)
	}
}

func (d *digester) num(all ...int) {
	for _, v := range all {
		d.b = binary.AppendVarint(d.b, int64(v))
	}
}

func (d *digester) at(all ...time.Duration) {
	for _, t := range all {
		switch rel := t - d.now; {
		case t == Never:
			d.b = append(d.b, 0xff)
		case t == 0 || rel < -horizon:
			d.b = append(d.b, 0xfe)
		default:
			d.b = binary.AppendVarint(d.b, int64(rel/time.Microsecond))
		}
	}
}

func (d *digester) mi(m sa.MI) {
	if _, ok := d.mis[m]; !ok && m != (sa.MI{}) {
		d.mis[m] = byte(len(d.mis) + 1)
	}
	d.b = append(d.b, d.mis[m])
}

func (d *digester) mn(m sa.MI, mn uint32) { d.num(int(d.mns[m]) - int(mn)) }

func (d *digester) key(k sa.KeyID) { d.mi(k.MI); d.num(int(k.KN)) }

func (d *digester) use(u *mkpdu.SAKUse) {
	for _, k := range [2]*mkpdu.KeyUse{&u.Latest, &u.Old} {
		d.key(k.Key)
		d.num(int(k.AN))
		d.bools(k.Tx, k.Rx)
	}
}

func (d *digester) list(l mkpdu.PeerList) {
	d.num(l.Len())
	for i := range l.Len() {
		mi, mn := l.At(i)
		d.mi(mi)
		d.mn(mi, mn)
	}
}

func (d *digester) participant(p *participant, life time.Duration) {
	d.b = append(d.b, p.ckn...)
	d.mi(p.mi)
	d.at(p.markAt)
	for _, m := range p.mark {
		d.num(int(p.mn) - int(m))
	}
	d.num(len(p.peers))
	for i := range p.peers {
		q := &p.peers[i]
		d.b = append(d.b, q.sci[:]...)
		d.mi(q.mi)
		d.mn(q.mi, q.mn)
		d.mi(q.stranger)
		d.bools(q.live, q.listsUs, q.hasUse, q.keyServer, q.xpn, q.lists >= p.announced)
		d.at(q.expires, q.suspended, q.suspendedFrom, q.heard)
		if !q.live {
			d.at(q.first)
		}
		d.num(int(q.lastKN))
		if q.hasUse {
			d.at(q.useAt)
			d.use(&q.use)
		}
	}
	for _, t := range p.tombs {
		if t.until > d.now {
			d.mi(t.mi)
			d.bools(t.replaced)
			d.at(t.until)
		}
	}
	d.b = append(d.b, p.keyServer[:]...)
	d.bools(p.elected, p.isServer, p.want, p.leaving, p.cut, p.urgent, p.offer.valid, p.offer.told)
	if p.want {
		d.at(p.wantSince)
	}
	d.at(p.lastDist, p.retryAfter, p.renewed, p.helloAt)
	d.num(int(p.kn), p.attempts, p.step)
	d.bools(p.announced > 0)
	refills := int((d.now - p.tokenAt) / refill)
	if tokens := p.tokens + refills; tokens < burst {
		d.num(tokens)
		d.at(p.tokenAt + time.Duration(refills)*refill)
	}
	if o := &p.offer; o.valid {
		d.key(sa.KeyID{MI: o.from, KN: o.dist.KN})
		d.num(int(o.dist.AN))
		d.at(o.since)
		d.list(o.live)
	}
}

func (d *digester) entity(e *Entity) {
	for _, p := range e.participants {
		d.participant(p, e.cfg.Life)
	}
	order := []int{0, 1, 2, 3}
	slices.SortFunc(order, func(a, b int) int { return int(e.table[a].seq) - int(e.table[b].seq) })
	for _, an := range order {
		s := &e.table[an]
		if !s.used {
			continue
		}
		d.num(an)
		d.key(s.key)
		d.b = append(d.b, s.ckn()...)
		d.b = append(d.b, s.server[:]...)
		d.bools(s.ours, s.adopted, s.tx, s.failed, s.encWanted, s.encSince > 0)
		d.at(s.since, s.gone, s.encSince, s.quiet, s.retryAt)
		d.num(s.unnamed, len(s.rx), len(s.members))
		for i := range s.rx {
			d.b = append(d.b, s.rx[i].sci[:]...)
			d.bools(s.rx[i].ok)
		}
		for _, m := range s.members {
			d.mi(m)
		}
	}
	d.num(e.encoding, e.failedAN, len(e.used))
	d.at(e.start, e.moveAway)
	d.bools(e.secured, e.portSet, e.farewell.on)
	d.at(e.farewell.until, e.farewell.again)
	if e.obeyed != nil {
		d.b = append(d.b, e.obeyed.ckn...)
		d.bools(e.obeyed.liveSince <= e.obeyedAt)
	}
}

func (d *digester) frame(b []byte) {
	var p mkpdu.PDU
	if err := mkpdu.Parse(b, &p); err != nil {
		panic(err)
	}
	d.mi(p.MI)
	d.mn(p.MI, p.MN)
	d.bools(p.KeyServer, p.HasUse, p.HasDistributed, p.HasXPN)
	d.num(int(p.XPN.Suspension))
	d.list(p.Live)
	d.list(p.Potential)
	if p.HasUse {
		d.use(&p.Use)
	}
	d.num(int(p.Distributed.AN), int(p.Distributed.KN))
}

func (d *digester) sum() (s [16]byte) {
	h := sha256.Sum256(d.b)
	copy(s[:], h[:])
	return s
}
