package mka

import (
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// lookAhead is how far PNs are foretold: long enough for a rekey whose every
// step takes its full time.
const lookAhead = 15 * time.Second

// pnMeter follows one next-PN.
type pnMeter struct {
	next  uint64
	rate  float64 // a second
	at    time.Duration
	moved time.Duration
}

// read takes the next-PN at an instant. It may fall: a SecY or peer that is
// wrong does no harm.
func (m *pnMeter) read(now time.Duration, next uint64) {
	if dt := now - m.at; m.at > 0 && dt > 0 && next >= m.next {
		m.rate = float64(next-m.next) / dt.Seconds()
	}
	if next != m.next {
		m.moved = now
	}
	m.next, m.at = next, now
}

// exhausting tells whether the PN is, or will soon be, near its end.
func (m *pnMeter) exhausting(limit uint64) bool {
	return m.next >= limit || float64(m.next)+m.rate*lookAhead.Seconds() >= float64(limit)/0.75
}

// packetNumbers takes the SecY's own word on its SAs: next PNs, and whether
// they are there at all.
func (e *Entity) packetNumbers(now time.Duration, t *sa.Table, out *[]Action) {
	if t == nil {
		return
	}
	limit := exhausted(e.cfg.Suite)
	seen := [4]bool{}
	near := [4]bool{}
	for _, tx := range t.Tx {
		if an := e.find(tx.Key); an == int(tx.AN) {
			s := &e.table[an]
			seen[an] = true
			s.pn.read(now, tx.PN)
			near[an] = near[an] || s.pn.exhausting(limit)
		}
	}
	for _, rx := range t.Rx {
		if an := e.find(rx.Key); an == int(rx.AN) {
			if r := e.table[an].rxFor(rx.SCI); r != nil {
				r.pn.read(now, rx.PN)
				r.seen = true
				near[an] = near[an] || r.pn.exhausting(limit)
			}
		}
	}
	// Somebody may have made the SecY transmit with nothing, or with another AN.
	// The SA goes on where it was; a SecY that refuses has lost it.
	if an := e.encoding; an >= 0 && seen[an] && len(e.changes) == 0 && t.Encoding != uint8(an) {
		e.queue(sa.Change{Kind: sa.Encode, SCI: e.cfg.SCI, SA: sa.SA{AN: uint8(an), Key: e.table[an].key}})
	}
	for an := range e.table {
		s := &e.table[an]
		if !s.used {
			continue
		}
		if near[an] && !s.exhausting {
			e.tell(now, out, Report{Kind: PNExhaustion, CKN: s.ckn(), Key: s.key, AN: uint8(an)})
		}
		s.exhausting = near[an]
		gone := s.tx && !seen[an]
		for i := range s.rx {
			r := &s.rx[i]
			gone = gone || r.ok && !r.seen
			r.seen = false
		}
		if gone && !e.busy {
			e.lost(now, an, out)
		}
	}
	e.strangers(t)
}

// strangers deletes SAs of the SecY that are not in the table: what a delete
// that failed has left, or somebody else's.
func (e *Entity) strangers(t *sa.Table) {
	if e.busy || len(e.changes) > 0 {
		return
	}
	for _, tx := range t.Tx {
		if s := &e.table[tx.AN&3]; !s.used || s.key != tx.Key {
			e.queue(sa.Change{Kind: sa.DeleteTx, SA: sa.SA{AN: tx.AN, Key: tx.Key}})
		}
	}
	for _, rx := range t.Rx {
		if s := &e.table[rx.AN&3]; !s.used || s.key != rx.Key || s.rxFor(rx.SCI) == nil {
			e.queue(sa.Change{Kind: sa.DeleteRx, SCI: rx.SCI, SA: sa.SA{AN: rx.AN, Key: rx.Key}})
		}
	}
}

// lost deals with an SA that the SecY no longer has: its SAK is not used
// again, since nobody knows its PN. A key server makes another; a member asks
// for one by becoming a new member.
func (e *Entity) lost(now time.Duration, an int, out *[]Action) {
	s := e.table[an]
	e.tell(now, out, Report{Kind: SAKAbandoned, CKN: s.ckn(), Key: s.key, AN: uint8(an), Cause: "the SecY has lost it"})
	e.drop(an)
	if s.owner != nil && !s.ours {
		e.renew(now, s.owner, out)
	}
}

// renew asks a CA's key server for a fresh SAK, by becoming a new member.
func (e *Entity) renew(now time.Duration, p *participant, out *[]Action) {
	p.renewed = now
	if err := p.newMI(&e.cfg); err != nil {
		e.tellSeldom(now, out, NoRandom, Report{CKN: p.ckn, Cause: err.Error()})
	}
	p.hurry()
}

// peerExhausting tells whether a live peer reports a lowest PN near the end
// of the SAK. A peer without XPN sets reports 32 bits: the high ones are what
// we receive from it. One that says so of a SAK that is new is wrong, and would
// have one made after another.
func (e *Entity) peerExhausting(now time.Duration, p *participant, s *slot) bool {
	if now < s.since+e.cfg.Life {
		return false
	}
	for i := range p.peers {
		q := &p.peers[i]
		if !q.live || !q.hasUse {
			continue
		}
		if pn, ok := e.lowestPN(q, s); ok && pn >= exhausted(e.cfg.Suite) {
			return true
		}
	}
	return false
}

// lowestPN is the lowest acceptable PN that a peer reports for a SAK.
func (e *Entity) lowestPN(q *peer, s *slot) (uint64, bool) {
	var low, high uint32
	switch s.key {
	case q.use.Latest.Key:
		low, high = q.use.Latest.LowestPN, q.useHigh[0]
	case q.use.Old.Key:
		low, high = q.use.Old.LowestPN, q.useHigh[1]
	default:
		return 0, false
	}
	if !e.cfg.Suite.XPN() {
		return uint64(low), true
	}
	if q.xpn {
		return uint64(high)<<32 | uint64(low), true
	}
	var near uint64
	if r := s.rxFor(q.sci); r != nil {
		near = r.pn.next
	}
	return recoverPN(near, low), true
}

// recoverPN is the 64-bit PN with those low 32 bits that is nearest to near
// (802.1AE 10.6.2).
func recoverPN(near uint64, low uint32) uint64 {
	pn := near&^0xffffffff | uint64(low)
	switch {
	case pn+1<<31 < near:
		pn += 1 << 32
	case pn > near+1<<31 && pn >= 1<<32:
		pn -= 1 << 32
	}
	return pn
}

// delayProtect raises our lowest acceptable PN to what a peer that protects
// against delay reports.
func (e *Entity) delayProtect(p *participant, q *peer) {
	if !e.cfg.DelayProtect || !q.hasUse || !q.use.DelayProtect {
		return
	}
	for an := range e.table {
		s := &e.table[an]
		r := s.rxFor(q.sci)
		if !s.used || s.owner != p || r == nil || !r.ok {
			continue
		}
		if pn, ok := e.lowestPN(q, s); ok && pn > r.lowest {
			r.lowest = pn
			e.queue(sa.Change{Kind: sa.RaiseLowestPN, SCI: q.sci, SA: sa.SA{AN: uint8(an), Key: s.key, PN: pn}})
		}
	}
}
