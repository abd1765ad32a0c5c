package mka

import (
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// receive takes one MKPDU. It tells whether anything may have changed.
func (e *Entity) receive(now time.Duration, frame []byte, out *[]Action) bool {
	d := &e.pdu
	e.counters.Received++
	if err := mkpdu.Parse(frame, d); err != nil {
		kind, _ := err.(mkpdu.Error)
		e.counters.Malformed[kind]++
		e.tellSeldom(now, out, Malformed, Report{Cause: kind.Error()})
		return false
	}
	p := e.byCKN(d.CKN)
	if p == nil {
		e.counters.UnknownCKN++
		e.counters.LastUnknownCKN = append(e.counters.LastUnknownCKN[:0], d.CKN...)
		e.counters.LastUnknownFrom = d.Src
		e.tellSeldom(now, out, UnknownCKN, Report{CKN: e.counters.LastUnknownCKN, SCI: d.SCI})
		return false
	}
	if !p.icv.Verify(d.Signed, d.ICV) {
		e.counters.ICVBad++
		p.icvBad++
		p.icvBadAt, p.icvBadFrom = now, d.Src
		if q := p.byMI(&d.MI); q != nil {
			q.icvBad++
		}
		e.tellSeldom(now, out, ICVBad, Report{CKN: p.ckn, SCI: d.SCI, Cause: "its sender's CAK differs, or the MKPDU was changed on its way"})
		return false
	}
	if d.MI == p.mi {
		return e.ownMI(now, p, out)
	}
	if d.SCI == e.cfg.SCI {
		e.counters.DuplicateSCI++
		e.tellSeldom(now, out, DuplicateSCI, Report{CKN: p.ckn, SCI: d.SCI, Cause: "two members have one MAC address, or an old MKPDU of ours came back"})
		return false
	}
	q := e.peerOf(now, p, out)
	if q == nil {
		return false
	}
	q.mn, q.heard, q.source = d.MN, now, d.Src
	q.priority, q.version, q.keyServer, q.desired, q.capable = d.Priority, d.Version, d.KeyServer, d.Desired, d.Capability
	q.kssci = d.KeyServerSSCI
	q.stranger = sa.MI{}
	for i := range d.Live.Len() {
		if mi, _ := d.Live.At(i); mi != p.mi && p.byMI(&mi) == nil {
			q.stranger = mi
			break
		}
	}
	q.hasUse = d.HasUse
	if d.HasUse {
		q.use, q.useAt = d.Use, now
		q.useHigh = [2]uint32{d.XPN.LatestHigh, d.XPN.OldHigh}
	}
	q.xpn = d.HasXPN
	q = e.liveness(now, p, q, out)
	if q.live {
		e.named(p, q)
		e.delayProtect(p, q)
		if d.HasDistributed {
			p.take(now, q.mi, d)
		}
	}
	return true
}

// ownMI deals with an MKPDU under our own MI: a reflection of ours is ignored;
// if another member drew the same MI, we draw again (802.1X 9.4.2).
func (e *Entity) ownMI(now time.Duration, p *participant, out *[]Action) bool {
	e.counters.OwnMI++
	if e.pdu.SCI == e.cfg.SCI {
		e.tellSeldom(now, out, OwnMI, Report{CKN: p.ckn, SCI: e.pdu.SCI, Cause: "a loop in the network, or a replay"})
		return false
	}
	if err := p.newMI(&e.cfg); err != nil {
		e.tellSeldom(now, out, NoRandom, Report{CKN: p.ckn, Cause: err.Error()})
		return false
	}
	e.tellSeldom(now, out, OwnMI, Report{CKN: p.ckn, SCI: e.pdu.SCI, Cause: "another member chose it too; ours is changed"})
	p.hurry()
	return true
}

// peerOf finds the sender of the PDU, or makes it a potential peer. nil: the
// MKPDU is a replay, or there is no room.
func (e *Entity) peerOf(now time.Duration, p *participant, out *[]Action) *peer {
	d := &e.pdu
	replayed := func() *peer {
		e.counters.Replayed++
		e.tellSeldom(now, out, Replayed, Report{CKN: p.ckn, SCI: d.SCI})
		return nil
	}
	if q := p.byMI(&d.MI); q != nil {
		if d.MN <= q.mn || d.SCI != q.sci {
			return replayed()
		}
		return q
	}
	t := p.tomb(&d.MI, now)
	if t != nil && (t.replaced || d.MN <= t.mn) {
		return replayed()
	}
	q := p.addPeer()
	if q == nil {
		e.counters.PeerListFull++
		e.tellSeldom(now, out, PeerListFull, Report{CKN: p.ckn, SCI: d.SCI})
		return nil
	}
	*q = peer{sci: d.SCI, mi: d.MI, first: now, expires: now + e.cfg.Life}
	if t != nil {
		q.lastKN = t.lastKN
	}
	p.hurry()
	return q
}

// liveness decides whether the PDU proves that its sender hears us now, and
// returns the sender's place, which may have moved.
func (e *Entity) liveness(now time.Duration, p *participant, q *peer, out *[]Action) *peer {
	d := &e.pdu
	q.lists, q.listsUs = listed(d, p)
	switch {
	case q.listsUs:
		q.expires = now + e.cfg.Life
	case !q.live:
		q.expires = now + e.cfg.Life
	}
	if q.live || q.listsUs {
		e.suspend(now, p, q, out)
	}
	if !q.listsUs || q.live {
		return q
	}
	mi := q.mi
	for i := len(p.peers) - 1; i >= 0; i-- {
		if o := &p.peers[i]; o.sci == d.SCI && o.mi != mi {
			if o.live {
				e.tell(now, out, Report{Kind: PeerRestarted, CKN: p.ckn, SCI: o.sci})
			}
			p.bury(i, true, now, e.cfg.Life)
		}
	}
	q = p.byMI(&mi)
	if p.liveCount() == 0 {
		p.liveSince = now
	}
	q.live = true
	p.attempts = 0
	p.hurry()
	e.tell(now, out, Report{Kind: PeerLive, CKN: p.ckn, SCI: q.sci})
	return q
}

// named notes on a key server's SAKs whether it still stands by them. The key
// server is known by its SCI: restarted, it may still transmit with a SAK that
// it made under its former MI.
func (e *Entity) named(p *participant, q *peer) {
	d := &e.pdu
	for an := range e.table {
		s := &e.table[an]
		if !s.used || s.ours || s.owner != p || s.server != q.sci {
			continue
		}
		if q.names(s.key) || d.HasDistributed && !d.Distributed.PlainText && d.MI == s.key.MI && d.Distributed.KN == s.key.KN {
			s.unnamed = 0
		} else {
			s.unnamed++
		}
	}
}

// expire lets go of peers that have been silent, or deaf to us, for life.
func (e *Entity) expire(now time.Duration, p *participant, out *[]Action) {
	for i := len(p.peers) - 1; i >= 0; i-- {
		q := &p.peers[i]
		if q.expires > now {
			continue
		}
		if q.live {
			cause := "no MKPDU for the life time"
			if now-q.heard < e.cfg.Life {
				cause = "it is heard, but does not hear us"
			}
			e.tell(now, out, Report{Kind: PeerExpired, CKN: p.ckn, SCI: q.sci, Cause: cause})
			p.hurry()
		}
		p.bury(i, false, now, e.cfg.Life)
	}
	if p.liveCount() == 0 {
		p.liveSince = 0
	}
}

// electIn elects the key server of a CA.
func (e *Entity) electIn(now time.Duration, p *participant, out *[]Action) {
	sci, ok := p.elect(&e.cfg)
	if sci == p.keyServer && ok == p.elected {
		return
	}
	p.keyServer, p.elected = sci, ok
	p.isServer = ok && sci == e.cfg.SCI
	if ok {
		e.tell(now, out, Report{Kind: KeyServerChanged, CKN: p.ckn, SCI: sci})
		p.hurry()
	}
}
