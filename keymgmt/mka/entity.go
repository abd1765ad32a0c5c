package mka

import (
	"bytes"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Entity is the MKA of one port: every participant, and the SA table that
// they share. It is not for concurrent use.
type Entity struct {
	cfg          Config
	participants []*participant // the preferred one first
	table        [4]slot        // by AN
	encoding     int            // AN, or -1
	failedAN     int            // of the SAK of ours that was abandoned last, until one is in use; or -1
	seq          uint64
	used         []sa.KeyID // key identifiers that have been installed, newest last

	changes []sa.Change // waiting; the first is under way if busy
	busy    bool
	backoff time.Duration // no install before

	now      time.Duration // of the last Step
	settled  time.Duration // when what was due was last looked at
	started  bool
	portSet  bool
	start    time.Duration
	secured  bool
	closed   bool
	dirty    bool          // what Save covers has changed
	freed    bool          // an AN, by this pass of settle
	moveAway time.Duration // until when a carrying CKN without live peers is kept for a move
	savedCKN [4][]byte     // of adopted slots, by AN
	tries    int
	// obeyed is the participant that a foreign key server moved the traffic
	// to, and when. Ours prefers another one only if it came up later: two
	// key servers that disagree would move it to and fro.
	obeyed   *participant
	obeyedAt time.Duration

	members    uint64 // digest of Members
	generation uint64 // of Members

	farewell farewell
	told     [NoRandom + 1]time.Duration
	counters Counters
	pdu      mkpdu.PDU
	out      mkpdu.PDU
}

// New makes an Entity without participants. It fails on a Config that
// Validate refuses.
func New(cfg Config) (*Entity, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.DelayProtect {
		cfg.Hello = min(cfg.Hello, BoundedHello)
	}
	return &Entity{cfg: cfg, encoding: -1, failedAN: -1, members: noMembers}, nil
}

// Step takes one event and appends what is to be done, in order. A Send's
// frame is valid until the next Step.
func (e *Entity) Step(now time.Duration, ev Event, out []Action) []Action {
	if e.closed {
		return out
	}
	if !e.started {
		e.started, e.start = true, now
		for i := range e.told {
			e.told[i] = -Never / 2
		}
	}
	e.now = now
	for _, p := range e.participants {
		p.tick(now, e.cfg.Life)
	}
	if e.farewell.on {
		e.farewellStep(now, ev, &out)
		return out
	}
	switch ev.Kind {
	case Received:
		// A flood of frames that change nothing delays nothing that is due.
		if !e.receive(now, ev.Frame, &out) && now < e.Deadline() {
			return out
		}
	case KeysChanged:
		e.setKeys(now, ev, &out)
	case ChangeDone:
		e.changeDone(now, ev.Err, &out)
	case PacketNumbers:
		e.packetNumbers(now, ev.Table, &out)
	case Adopt:
		e.adopt(now, ev.Table, ev.Saved, &out)
	case LinkUp:
		for _, p := range e.participants {
			p.restartRamp(now)
		}
	case Suspend:
		e.leaveFor(now, &out)
		return out
	case Close:
		e.close()
		return out
	}
	e.settle(now, &out)
	return out
}

func (e *Entity) close() {
	e.closed = true
	for _, c := range e.changes {
		c.SA.SAK.Zero()
	}
	e.changes = nil
	for an := range e.table {
		e.table[an].sak.Zero()
	}
	for _, p := range e.participants {
		p.zero()
	}
	e.participants = nil
}

// settle does all that is due, given the state.
func (e *Entity) settle(now time.Duration, out *[]Action) {
	e.settled = now
	for _, p := range e.participants {
		e.expire(now, p, out)
		e.electIn(now, p, out)
	}
	// An AN that has become free is one to take, and its participant may leave.
	// Every pass frees another or is the last; no SAK is made twice in an
	// instant.
	e.freed = true
	for pass := 0; e.freed && pass < 2*len(e.table); pass++ {
		e.freed = false
		e.leave(now, out)
		e.serve(now, out)
		e.follow(now, out)
		e.join()
		e.reinstall(now)
		e.transmit(now, out)
		e.retire(now, out)
		e.setPort(now, out)
	}
	e.noteMembers()
	for _, p := range e.participants {
		if p.sendAt() <= now {
			e.send(now, p, out)
		}
	}
	if e.dirty {
		e.dirty = false
		*out = append(*out, Action{Kind: Save, Saved: e.save()})
	}
	if !e.busy && len(e.changes) > 0 && now >= e.backoff {
		e.busy = true
		*out = append(*out, Action{Kind: Change, Change: e.changes[0]})
	}
}

// Deadline is the instant of the next Tick that is needed: Never if none is.
func (e *Entity) Deadline() time.Duration {
	d := Never
	if e.closed {
		return d
	}
	if f := &e.farewell; f.on {
		return min(f.again, f.until)
	}
	// What was due when settle last ran has been looked at then. A Step that
	// refused its MKPDU has looked at nothing.
	soon := func(t time.Duration) {
		if t > e.settled && t < d {
			d = t
		}
	}
	if !e.busy && len(e.changes) > 0 {
		soon(e.backoff)
	}
	offered := false
	for _, p := range e.participants {
		offered = offered || p.offer.valid
	}
	for _, p := range e.participants {
		d = min(d, p.sendAt())
		for i := range p.peers {
			q := &p.peers[i]
			soon(q.expires)
			if !q.live {
				soon(q.first + settleTime)
			}
			soon(q.suspended)
			if offered {
				soon(q.useAt + e.stale()) // see claimed
			}
		}
		if p.want {
			soon(p.wantSince + 2*settleTime)
			soon(p.wantSince + e.cfg.Life)
			soon(p.retryAfter)
			soon(p.lastDist + distributionGap)
		}
		if p.offer.valid {
			soon(p.offer.since + e.stale())
			soon(max(p.offer.since, p.renewed) + 2*e.cfg.Life)
		}
	}
	for an := range e.table {
		s := &e.table[an]
		if !s.used {
			continue
		}
		soon(s.retryAt)
		if an == e.encoding {
			soon(s.encSince + e.patience())
		}
		for i := range s.rx {
			soon(s.rx[i].pn.moved + e.cfg.Life)
		}
		if e.pending(an) {
			soon(s.since + 2*settleTime)
			soon(s.since + e.stale())
			soon(s.gone + e.cfg.Life)
			soon(s.since + e.cfg.Life)
			if s.owner != nil {
				soon(s.stuckAt(e.cfg.Life))
			}
		}
		if s.quiet != Never && an != e.encoding {
			soon(s.quiet + RetireTime)
		}
		if s.ours && s.owner != nil {
			soon(s.strandedUntil(s.owner, e.cfg.Life))
		}
		if s.ours && e.cfg.Rekey > 0 {
			soon(s.since + e.cfg.Rekey)
		}
	}
	soon(e.start + e.cfg.Life)
	soon(e.moveAway)
	return d
}

// stale is how long something that comes with every hello may be missing.
func (e *Entity) stale() time.Duration { return e.cfg.Hello + e.cfg.Hello/2 }

// byCKN finds a participant.
func (e *Entity) byCKN(ckn []byte) *participant {
	for _, p := range e.participants {
		if bytes.Equal(p.ckn, ckn) {
			return p
		}
	}
	return nil
}

// setKeys makes the participants what the keychain says.
func (e *Entity) setKeys(now time.Duration, ev Event, out *[]Action) {
	next := make([]*participant, 0, len(ev.Keys)+1)
	for _, k := range ev.Keys {
		p := e.byCKN(k.CKN)
		if p != nil && !p.cak.Equal(k.CAK) {
			// The same name for another key: what it carried cannot go on.
			p.cut, p.leaving = true, true
			e.forget(now, p, "its CAK was replaced under the same CKN", out)
			p = nil
		}
		if p == nil {
			var err error
			if p, err = newParticipant(k, now); err == nil {
				err = p.newMI(&e.cfg)
			}
			if err != nil {
				e.tell(now, out, Report{Kind: NoRandom, CKN: k.CKN, Cause: err.Error()})
				continue
			}
			for an := range e.table {
				if s := &e.table[an]; s.used && s.owner == nil && bytes.Equal(e.savedCKN[an], p.ckn) {
					s.owner = p
				}
			}
			e.tell(now, out, Report{Kind: CAKAdded, CKN: p.ckn})
		}
		p.leaving, p.cut = false, false
		next = append(next, p)
	}
	for _, p := range e.participants {
		if contains(next, p) || p.cut {
			continue
		}
		if !p.leaving && e.carrying() == p {
			e.tell(now, out, Report{Kind: CAKHeld, CKN: p.ckn})
		}
		p.leaving = true
		for _, c := range ev.Cut {
			p.cut = p.cut || bytes.Equal(c, p.ckn)
		}
		next = append(next, p)
	}
	e.participants = next
}

func contains(all []*participant, p *participant) bool {
	for _, q := range all {
		if p == q {
			return true
		}
	}
	return false
}

// leave deletes participants that are out of the keychain and of which no SA
// is left; a cut one goes with its SAs.
func (e *Entity) leave(now time.Duration, out *[]Action) {
	keep := e.participants[:0]
	for _, p := range e.participants {
		if !p.leaving || !p.cut && e.uses(p) {
			keep = append(keep, p)
			continue
		}
		e.forget(now, p, "", out)
	}
	clear(e.participants[len(keep):])
	e.participants = keep
}

// uses tells whether a SAK of the participant's is installed or on its way.
func (e *Entity) uses(p *participant) bool {
	for an := range e.table {
		if e.table[an].used && e.table[an].owner == p {
			return true
		}
	}
	return false
}

func (e *Entity) forget(now time.Duration, p *participant, cause string, out *[]Action) {
	for an := range e.table {
		if e.table[an].used && e.table[an].owner == p {
			e.drop(an)
		}
	}
	if e.obeyed == p {
		e.obeyed = nil
	}
	e.tell(now, out, Report{Kind: CAKLeft, CKN: bytes.Clone(p.ckn), Cause: cause})
	p.zero()
}
