package mka

import (
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/kdf"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// offer is a Distributed SAK that has arrived and waits to be taken. It is
// kept because it may have to wait: for a member that we do not know yet, or
// for an AN that is still in use.
type offer struct {
	valid   bool
	told    bool
	from    sa.MI
	since   time.Duration
	dist    mkpdu.DistributedSAK
	wrapped [40]byte
	live    mkpdu.PeerList
	kssci   uint8
}

// take keeps a Distributed SAK. The same one again changes nothing.
func (p *participant) take(now time.Duration, from sa.MI, d *mkpdu.PDU) {
	o := &p.offer
	same := o.valid && o.from == from && o.dist.KN == d.Distributed.KN && !d.Distributed.PlainText
	if !same {
		*o = offer{valid: true, from: from, since: now, live: o.live[:0]}
	}
	o.dist = d.Distributed
	n := copy(o.wrapped[:], d.Distributed.Wrapped)
	o.dist.Wrapped = o.wrapped[:n]
	o.live = append(o.live[:0], d.Live...)
	o.kssci = d.KeyServerSSCI
}

// follow considers what key servers have offered, and lets go of SAKs that
// their key server no longer stands by.
func (e *Entity) follow(now time.Duration, out *[]Action) {
	for _, p := range e.participants {
		if p.offer.valid && !e.consider(now, p, out) {
			// What serve left for its sake may be due.
			p.offer.valid, e.freed = false, true
		}
	}
	for an := range e.table {
		s := &e.table[an]
		if !s.used || s.ours || !e.pending(an) || s.transmitted() {
			continue
		}
		switch server := e.serverOf(s); {
		case server == nil && s.gone == 0:
			s.gone = max(now, 1)
		case server != nil && s.gone > 0:
			s.gone, s.waits = 0, now
		}
		if e.stuck(now, s) {
			e.tell(now, out, Report{Kind: SAKAbandoned, CKN: s.ckn(), SCI: s.server, Key: s.key, AN: uint8(an), Cause: "its key server does not begin to transmit with it"})
			e.renew(now, s.owner, out)
			e.drop(an)
			continue
		}
		cause := "its key server no longer names it"
		switch {
		case s.gone == 0 && s.unnamed < 2:
			continue
		case s.gone > 0 && now < s.gone+e.cfg.Life && s.owner != nil && s.owner.liveCount() > 0 && !e.overtaken(s):
			// Another member may have heard the key server's last word, and
			// transmit, or be about to.
			continue
		case s.gone > 0:
			cause = "its key server is gone"
		}
		e.tell(now, out, Report{Kind: SAKAbandoned, CKN: s.ckn(), SCI: s.server, Key: s.key, AN: uint8(an), Cause: cause})
		e.drop(an)
	}
}

// overtaken tells whether a later SAK of the CKN encodes: whoever comes back
// gets another.
func (e *Entity) overtaken(s *slot) bool {
	return e.encoding >= 0 && e.table[e.encoding].owner == s.owner && e.table[e.encoding].seq > s.seq
}

// stuck tells whether a key server has left one of its SAKs lying: everybody
// would have it by now, or it would have gone ahead. hostap's CP machine can
// get there. A new member gets a new SAK.
func (e *Entity) stuck(now time.Duration, s *slot) bool {
	return s.owner != nil && s.gone == 0 && s.receiving() && !e.suspended(now) &&
		now >= s.stuckAt(e.cfg.Life)
}

// stuckAt is when a SAK whose key server is live, and that is installed, is
// given up.
func (s *slot) stuckAt(life time.Duration) time.Duration {
	return max(s.since, s.waits, s.owner.renewed) + 2*life
}

func (s *slot) ckn() []byte {
	if s.owner == nil {
		return nil
	}
	return s.owner.ckn
}

// serverOf is the live peer that distributed the slot's SAK, whatever its MI
// is now.
func (e *Entity) serverOf(s *slot) *peer {
	if s.owner == nil {
		return nil
	}
	return s.owner.liveSCI(s.server)
}

// transmitted tells whether a live peer says that it transmits with the slot's
// SAK.
func (s *slot) transmitted() bool {
	if s.owner == nil {
		return false
	}
	for i := range s.owner.peers {
		if q := &s.owner.peers[i]; q.live && q.transmits(s.key) {
			return true
		}
	}
	return false
}

// consider takes the offered SAK, refuses it, or leaves it waiting (true).
func (e *Entity) consider(now time.Duration, p *participant, out *[]Action) bool {
	o := &p.offer
	q := p.byMI(&o.from)
	if q == nil || !q.live {
		return false
	}
	if p.isServer || !p.elected || p.keyServer != q.sci {
		// Our view of the CA may lag behind the sender's: it comes again.
		return now < o.since+e.stale()
	}
	key := sa.KeyID{MI: o.from, KN: o.dist.KN}
	refuse := func(cause string) bool {
		e.counters.SAKsRefused++
		p.refused, p.refusedAt = cause, now
		e.tellSeldom(now, out, SAKRefused, Report{CKN: p.ckn, SCI: q.sci, Key: key, AN: o.dist.AN, Cause: cause})
		return false
	}
	suite, known := sa.SuiteFromID(o.dist.Suite)
	switch {
	case o.dist.PlainText:
		return refuse("the key server asks for traffic without MACsec; never done")
	case e.find(key) >= 0:
		return false
	case o.dist.KN <= q.lastKN || slices.Contains(e.used, key):
		if now >= p.renewed+e.cfg.Life {
			e.renew(now, p, out)
		}
		return refuse("its key identifier was used before")
	case !known || suite != e.cfg.Suite:
		return refuse("the key server chose another cipher suite than this port's " + e.cfg.Suite.String() + ": set the same on both ends")
	case o.dist.ConfidentialityOffset != e.cfg.offsetCode():
		return refuse("the key server chose another confidentiality (none, or another offset) than this port's: set the same on both ends")
	case e.suspended(now):
		return true
	case !o.lists(p.mi):
		// It was not made for us. With XPN another has our SSCI, and so our
		// nonces; the key server makes another as soon as it knows us.
		return false
	case !e.membersKnown(p, o) && (suite.XPN() || now < o.since+e.stale()):
		// Without the SCI of every member there are no SSCIs (802.1AE
		// 10.7.13). Without XPN a late one can be added.
		return true
	}
	an := int(o.dist.AN & 3)
	if e.claimed(now, an, q, p, out) {
		if now < max(o.since, p.renewed)+2*e.cfg.Life {
			return true
		}
		// As a new member we get another SAK, on another AN.
		e.renew(now, p, out)
		return false
	}
	sak, err := kdf.Unwrap(p.kek, o.dist.Wrapped)
	if err != nil {
		return refuse("it does not unwrap under this CAK's KEK")
	}
	if sak.Len() != e.cfg.Suite.KeyLen() {
		sak.Zero()
		return refuse("its length does not fit its cipher suite")
	}
	e.supersede(now, p, q, out)
	if s := &e.table[an]; s.used {
		e.tell(now, out, Report{Kind: SAKAbandoned, CKN: s.ckn(), Key: s.key, AN: uint8(an), Cause: "its AN was given to another SAK"})
		if s.owner != nil && s.owner != p && s.receiving() {
			// Members of that CA who come back are not to hold us for one who
			// still has it.
			e.renew(now, s.owner, out)
		}
		e.drop(an)
	}
	e.seq++
	s := &e.table[an]
	*s = slot{used: true, seq: e.seq, key: key, owner: p, sak: sak, server: q.sci, members: []sa.MI{o.from}, since: now, quiet: Never}
	for i := range o.live.Len() {
		mi, _ := o.live.At(i)
		s.members = append(s.members, mi)
	}
	e.fill(s, e.membersOf(p, o), o.kssci)
	e.install(an)
	q.lastKN = o.dist.KN
	e.counters.SAKsReceived++
	return false
}

// lists tells whether the offer was made for a member of that MI.
func (o *offer) lists(mi sa.MI) bool {
	_, ok := o.live.Find(mi)
	return ok
}

// membersKnown tells whether we have heard every member that the key server
// holds live: without that we could not receive from it.
func (e *Entity) membersKnown(p *participant, o *offer) bool {
	for i := range o.live.Len() {
		mi, _ := o.live.At(i)
		if mi != p.mi && p.byMI(&mi) == nil {
			return false
		}
	}
	return true
}

// membersOf is the SCIs to receive from: the key server, and those that it
// holds live. No other: with XPN one too many shifts everybody's SSCI.
func (e *Entity) membersOf(p *participant, o *offer) []sa.SCI {
	var scis []sa.SCI
	for i := range p.peers {
		q := &p.peers[i]
		if _, listed := o.live.Find(q.mi); listed || q.mi == o.from {
			if !slices.Contains(scis, q.sci) {
				scis = append(scis, q.sci)
			}
		}
	}
	return scis
}

// claimed tells whether the AN of an offered SAK cannot be given up now.
func (e *Entity) claimed(now time.Duration, an int, from *peer, p *participant, out *[]Action) bool {
	s := &e.table[an]
	if !s.used {
		return false
	}
	if e.pending(an) {
		// Two key servers chose one AN. Nobody transmits with a SAK of ours
		// before we do: the lower SCI's stays. On another's, once we have
		// announced receive, it may begin at any moment.
		switch {
		case s.ours:
			return e.cfg.SCI.Less(from.sci) && s.owner.liveCount() > 0
		case s.server == from.sci:
			return false
		case e.serverOf(s) == nil:
			return s.transmitted()
		}
		return s.receiving() || s.server.Less(from.sci)
	}
	// The key server has given the AN up itself if it transmits with the new
	// SAK already, or has not spoken on the old CKN for a while.
	moved := from.transmits(sa.KeyID{MI: from.mi, KN: p.offer.dist.KN})
	if moved && s.owner == p && s.server == from.sci && !from.names(s.key) {
		// Its own SAK: nobody gets another under that key any more.
		return false
	}
	for _, o := range e.participants {
		for i := range o.peers {
			q := &o.peers[i]
			if moved && q.sci == from.sci {
				continue
			}
			// One that receives with the old SAK may yet begin to transmit.
			if q.live && (q.receives(s.key) || q.transmits(s.key)) && (q.sci != from.sci || now-q.useAt < e.stale()) {
				if !p.offer.told {
					p.offer.told = true
					e.tell(now, out, Report{Kind: SAKRefused, CKN: p.ckn, SCI: from.sci, Key: sa.KeyID{MI: from.mi, KN: p.offer.dist.KN}, AN: uint8(an), Cause: "its AN is in use by live peers; waiting"})
				}
				return true
			}
		}
	}
	return false
}

// supersede drops a SAK of the same key server's that never took effect.
func (e *Entity) supersede(now time.Duration, p *participant, q *peer, out *[]Action) {
	for an := range e.table {
		s := &e.table[an]
		if e.pending(an) && !s.ours && s.owner == p && s.server == q.sci && !s.transmitted() {
			e.tell(now, out, Report{Kind: SAKAbandoned, CKN: p.ckn, SCI: q.sci, Key: s.key, AN: uint8(an), Cause: "its key server sent another"})
			e.drop(an)
		}
	}
}
