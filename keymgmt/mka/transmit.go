package mka

import (
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

const (
	// retryChange is how long a failed change of the SecY waits at first. It
	// doubles to the fourfold.
	retryChange = 500 * time.Millisecond
	// maxTries bounds a delete that fails. What it leaves is found again by
	// packetNumbers.
	maxTries = 3
)

// changeDone takes the result of the change under way.
func (e *Entity) changeDone(now time.Duration, err error, out *[]Action) {
	if !e.busy || len(e.changes) == 0 {
		return
	}
	e.busy = false
	c := e.changes[0]
	if err != nil {
		e.counters.ChangesFailed++
		e.tellSeldom(now, out, ChangeFailed, Report{SCI: c.SCI, Key: c.SA.Key, AN: c.SA.AN, Cause: c.Kind.String() + ": " + err.Error()})
		remove := c.Kind == sa.DeleteRx || c.Kind == sa.DeleteTx || c.Kind == sa.DeleteSC
		if e.tries++; remove && e.tries < maxTries {
			e.backoff = now + retryChange
			return
		}
	}
	e.tries = 0
	e.changes[0].SA.SAK.Zero()
	e.changes = append(e.changes[:0], e.changes[1:]...)
	an := e.find(c.SA.Key)
	if an < 0 {
		return
	}
	s := &e.table[an]
	switch c.Kind {
	case sa.InstallRx:
		if r := s.rxFor(c.SCI); r != nil {
			r.ok = err == nil
		}
	case sa.InstallTx:
		s.tx = err == nil
	case sa.Encode:
		if err == nil {
			e.encodes(now, an, out)
			return
		}
		if an == e.encoding {
			// It was to be switched on again.
			e.lost(now, an, out)
			return
		}
		s.encWanted, s.retryAt = false, now+retryChange
		return
	default:
		return
	}
	if err != nil {
		s.failed, s.retryAt = true, now+retryChange<<min(s.failures, 2)
		s.failures++
		return
	}
	s.failures = 0
	if s.sak != nil && s.receiving() {
		if s.owner != nil {
			s.owner.hurry()
		}
		e.dirty = true
		e.tell(now, out, Report{Kind: SAKInstalled, CKN: s.ckn(), SCI: s.server, Key: s.key, AN: uint8(an)})
	}
}

// encodes notes that the SecY encodes with an AN now.
func (e *Entity) encodes(now time.Duration, an int, out *[]Action) {
	before := e.carrying()
	s := &e.table[an]
	if e.encoding >= 0 {
		e.table[e.encoding].quiet = Never
	}
	e.encoding, e.failedAN = an, -1
	s.encSince = max(now, 1)
	s.encWanted = false
	e.obeyed = nil
	if !s.ours && before != s.owner {
		e.obeyed, e.obeyedAt = s.owner, now
	}
	e.dirty = true
	if s.owner != nil {
		s.owner.hurry()
		if before != nil && before != s.owner {
			before.hurry()
		}
	}
	e.tell(now, out, Report{Kind: Encoding, CKN: s.ckn(), SCI: s.server, Key: s.key, AN: uint8(an)})
}

// reinstall tries again what failed.
func (e *Entity) reinstall(now time.Duration) {
	for an := range e.table {
		s := &e.table[an]
		if !s.used || !s.failed || now < s.retryAt {
			continue
		}
		s.failed = false
		for i := range s.rx {
			s.rx[i].queued = s.rx[i].ok
		}
		s.txWanted = s.tx
		e.install(an)
	}
}

// transmit begins to encode with every SAK whose moment has come.
func (e *Entity) transmit(now time.Duration, out *[]Action) {
	best := -1
	for an := range e.table {
		s := &e.table[an]
		if !s.used || !s.tx || s.owner == nil || now < s.retryAt || !e.pending(an) && !e.back(an) {
			continue
		}
		if e.mayTransmit(now, an, out) && (best < 0 || s.seq > e.table[best].seq) {
			best = an
		}
	}
	if best < 0 || e.table[best].encWanted {
		return
	}
	s := &e.table[best]
	s.encWanted = true
	e.queue(sa.Change{Kind: sa.Encode, SCI: e.cfg.SCI, SA: sa.SA{AN: uint8(best), Key: s.key}})
}

// back tells whether we have left a SAK that its key server stands by, for one
// whose key server does not, MKPDUs of two CKNs can overtake each other; or for
// one of ours that is less preferred. All live peers must have it still.
func (e *Entity) back(an int) bool {
	s := &e.table[an]
	if an == e.encoding || e.encoding < 0 || s.ours || s.adopted {
		return false
	}
	n := &e.table[e.encoding]
	if n.adopted || n.owner == nil || n.ours && (n.owner == s.owner || !n.owner.leaving && slices.Index(e.participants, n.owner) < slices.Index(e.participants, s.owner)) {
		return false
	}
	q, o := e.serverOf(s), e.serverOf(n)
	if q != nil {
		// Its word on the other CKN may be the later one.
		if there := n.owner.liveSCI(q.sci); there != nil && there.transmits(n.key) && there.useAt > q.useAt {
			return false
		}
	}
	return s.owner.allReceive(s.key) && q != nil && q.transmits(s.key) && (n.ours || o == nil || !o.transmits(n.key))
}

// mayTransmit: the key server when all live peers receive, the others when it
// transmits. After the life time the standard goes ahead all the same (CP
// machine, 12.4); here only while no other CKN carries traffic, else the SAK
// is abandoned and made again. So it is once while an older SAK of the CKN
// carries it.
func (e *Entity) mayTransmit(now time.Duration, an int, out *[]Action) bool {
	s := &e.table[an]
	late := now >= s.since+e.cfg.Life
	if s.ours && !s.owner.isServer {
		e.abandon(now, an, "another key server is elected, or none", out)
		return false
	}
	if s.ours && e.encoding >= 0 {
		if n := &e.table[e.encoding]; n.seq > s.seq || n.owner != s.owner && n.encSince > s.since {
			e.abandon(now, an, "the traffic has moved to another SAK meanwhile", out)
			return false
		}
	}
	if !s.ours {
		q := e.serverOf(s)
		// What transmits and does not receive is not secured; but where
		// another SAK encodes the peers have left it.
		return q != nil && q.transmits(s.key) && (e.encoding >= 0 || s.receiving())
	}
	if !s.receiving() || s.owner.liveCount() == 0 {
		if late {
			e.abandon(now, an, "it could not be installed", out)
		}
		return false
	}
	// A member that is not live just now may come back before it hears of
	// another SAK.
	all := s.owner.sameMembers(s.members) && s.owner.allReceive(s.key)
	if all || !late || e.suspended(now) {
		return all
	}
	if c := e.carrying(); c != nil && c != s.owner && c.liveCount() > 0 {
		e.abandon(now, an, "a live peer has not announced receive; another CKN carries the traffic", out)
		return false
	}
	if p := s.owner; e.encoding >= 0 && p.attempts == 0 {
		p.attempts++
		e.abandon(now, an, "a live peer has not announced receive; once more with another AN", out)
		p.retryAfter = 0
		return false
	}
	if !s.encWanted {
		e.tell(now, out, Report{Kind: TransmitTimeout, CKN: s.owner.ckn, Key: s.key, AN: uint8(an)})
	}
	return true
}

// abandon gives up a SAK of ours that nobody transmits with.
func (e *Entity) abandon(now time.Duration, an int, cause string, out *[]Action) {
	s := &e.table[an]
	e.tell(now, out, Report{Kind: SAKAbandoned, CKN: s.ckn(), SCI: s.server, Key: s.key, AN: uint8(an), Cause: cause})
	// A peer may use the AN for a CA that we are not in.
	e.failedAN = an
	s.owner.retryAfter = now + e.cfg.Hello
	s.owner.hurry()
	e.drop(an)
}

// retire deletes old SAs, MKA's retire time after the last live peer stopped
// using them and all transmit with the new one; none while a peer, which may use
// any, is away.
func (e *Entity) retire(now time.Duration, out *[]Action) {
	if e.encoding < 0 {
		return
	}
	n := &e.table[e.encoding]
	for an := range e.table {
		s := &e.table[an]
		if !s.used || an == e.encoding || e.pending(an) {
			continue
		}
		if e.inUse(now, s, n) || e.suspended(now) {
			s.quiet = Never
			continue
		}
		if s.quiet == Never {
			s.quiet = max(now, 1)
		}
		if now < s.quiet+RetireTime {
			continue
		}
		e.tell(now, out, Report{Kind: SAKRetired, CKN: s.ckn(), Key: s.key, AN: uint8(an)})
		if s.owner != nil {
			s.owner.hurry()
		}
		e.drop(an)
	}
}

// inUse tells whether a live peer may still transmit with the old SAK s, the
// new one being n. One that says it does, and not that it transmits with n,
// holds s for as long as it lives. One that says both, or neither, or is not in
// the new CA and could yet begin to transmit with s, does not
// hold it for ever: hostap can leave an old transmit flag on, and get stuck
// before a new one. That ends after five life times, or after one if no AN is
// free, when nothing has been received with s for one.
func (e *Entity) inUse(now time.Duration, s, n *slot) bool {
	if n.owner == nil {
		return true
	}
	unsure := n.owner.liveCount() == 0
	for _, p := range e.participants {
		for i := range p.peers {
			q := &p.peers[i]
			if !q.live || s.unnamedBy(q.sci) {
				continue
			}
			k, ok := q.encodesWith()
			old := ok && k == s.key
			there := n.owner.liveSCI(q.sci)
			moved := there != nil && there.transmits(n.key)
			if old && !moved {
				return true
			}
			waits := p == s.owner && there == nil && q.receives(s.key)
			unsure = unsure || old || waits || p == n.owner && !moved
		}
	}
	if !unsure || now < n.encSince+e.patience() {
		return unsure
	}
	for i := range s.rx {
		if now < s.rx[i].pn.moved+e.cfg.Life {
			return true
		}
	}
	return false
}

// unnamedBy tells whether a member of the CA of a SAK of ours has no use for
// it: SAK Use has room for two, it does not fill them, and whoever has not got
// a SAK that we do not distribute any more will not get it.
func (s *slot) unnamedBy(sci sa.SCI) bool {
	if !s.ours || s.owner == nil {
		return false
	}
	q := s.owner.liveSCI(sci)
	return q != nil && !q.receives(s.key) && !q.transmits(s.key) && (!q.hasUse || q.use.Empty || q.use.Old.Key.IsZero())
}

// patience is how long an old SA is kept for peers that say nothing clear.
func (e *Entity) patience() time.Duration {
	for an := range e.table {
		if !e.table[an].used {
			return 5 * e.cfg.Life
		}
	}
	return e.cfg.Life
}

// setPort decides whether the Controlled Port is secured: something encodes,
// and a live peer is there to hear it. A CKN whose peers have gone keeps the
// port for a while if they are live on another CKN: the traffic is about to
// move. An adopted SAK keeps it for the life time, in which peers come back.
func (e *Entity) setPort(now time.Duration, out *[]Action) {
	anyLive := false
	for _, p := range e.participants {
		anyLive = anyLive || p.liveCount() > 0
	}
	secured := false
	if e.encoding >= 0 {
		s := &e.table[e.encoding]
		switch {
		case s.owner != nil && s.owner.liveCount() > 0:
			secured, e.moveAway = true, 0
		case s.adopted && now < e.start+e.cfg.Life:
			secured = true
		case anyLive:
			if e.moveAway == 0 {
				e.moveAway = now + 2*e.cfg.Life
			}
			secured = now < e.moveAway
		}
		if !secured {
			e.moveAway = 0
		}
	}
	if !secured {
		for an := range e.table {
			s := &e.table[an]
			if !s.used || e.pending(an) && s.owner != nil && s.owner.liveCount() > 0 {
				continue
			}
			if s.owner != nil && s.tx {
				// Peers may hold us for a member with this SAK when the wire
				// heals: as a new one we get another.
				e.renew(now, s.owner, out)
			}
			e.drop(an)
		}
	}
	if e.portSet && secured == e.secured {
		return
	}
	was := e.secured
	e.portSet, e.secured = true, secured
	port := sa.Unsecured
	if secured {
		port = sa.Secured
		e.tell(now, out, Report{Kind: PortSecured, CKN: e.table[e.encoding].ckn(), Key: e.table[e.encoding].key, AN: uint8(e.encoding)})
	} else if was {
		e.tell(now, out, Report{Kind: PortUnsecured, Cause: "no live peer"})
	}
	*out = append(*out, Action{Kind: SetPort, Port: port})
}
