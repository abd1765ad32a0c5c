package mka

import (
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// slot is one AN of the SecY: the SAK on it and how far it has got.
type slot struct {
	used  bool
	seq   uint64 // order of arrival
	key   sa.KeyID
	owner *participant // nil: adopted, of a CKN that we do not know
	sak   *secret.Key  // nil if adopted
	salt  [12]byte
	ssci  uint32 // ours

	server    sa.SCI // whose SAK it is
	ours      bool   // we are its key server
	adopted   bool
	members   []sa.MI // those that it was made for, as far as they are others
	wrapped   []byte
	rx        []rxSA
	txWanted  bool
	tx        bool // installed
	failed    bool
	failures  int // in a row
	retryAt   time.Duration
	encWanted bool
	unnamed   int // MKPDUs of its key server in a row that did not name it

	since    time.Duration // when it was made or arrived
	gone     time.Duration // since when its key server has not been live, or 0
	waits    time.Duration // since when that is live again, or 0
	encSince time.Duration // when we began to encode with it
	quiet    time.Duration // old: since when nobody uses it; Never: somebody does

	pn         pnMeter // ours, transmit
	exhausting bool
}

type rxSA struct {
	sci    sa.SCI
	ssci   uint32
	queued bool
	ok     bool
	pn     pnMeter
	lowest uint64
	seen   bool // in the SecY's own table, as just read
}

func (s *slot) rxFor(sci sa.SCI) *rxSA {
	for i := range s.rx {
		if s.rx[i].sci == sci {
			return &s.rx[i]
		}
	}
	return nil
}

// receiving tells whether all that the slot wants is installed: what
// "receive" in SAK Use promises.
func (s *slot) receiving() bool {
	if !s.used || !s.tx {
		return false
	}
	for i := range s.rx {
		if !s.rx[i].ok {
			return false
		}
	}
	return true
}

// find is the AN of a key identifier, or -1.
func (e *Entity) find(k sa.KeyID) int {
	for an := range e.table {
		if e.table[an].used && e.table[an].key == k {
			return an
		}
	}
	return -1
}

// carrying is the participant whose SAK encodes, or nil.
func (e *Entity) carrying() *participant {
	if e.encoding < 0 {
		return nil
	}
	return e.table[e.encoding].owner
}

// pending tells whether the slot is on its way to be encoded with.
func (e *Entity) pending(an int) bool {
	s := &e.table[an]
	return s.used && an != e.encoding && s.encSince == 0 && !s.adopted
}

// latest and old are what a participant's SAK Use names: the newest of its ANs,
// and the one that encodes or else the next to newest.
func (e *Entity) latest(p *participant) (latest, old int) {
	latest, old = -1, -1
	for an := range e.table {
		s := &e.table[an]
		if !s.used || s.owner != p {
			continue
		}
		switch {
		case latest < 0 || s.seq > e.table[latest].seq:
			latest, old = an, latest
		case old < 0 || s.seq > e.table[old].seq:
			old = an
		}
	}
	if e.encoding >= 0 && e.encoding != latest && e.table[e.encoding].owner == p {
		old = e.encoding
	}
	return latest, old
}

// freeAN is the first AN after the encoding one, or after the one of a SAK that
// has just been abandoned, that is neither installed here nor named by a live
// peer on any CKN. If peers name all that are free here, one that no peer
// transmits with is taken; and if peers transmit with each, any, unless it is
// better to wait. -1: none.
func (e *Entity) freeAN(wait bool) int {
	first := 0
	if e.encoding >= 0 {
		first = e.encoding + 1
	}
	if e.failedAN >= 0 {
		first = e.failedAN + 1
	}
	var named, busy [4]bool
	for _, p := range e.participants {
		for i := range p.peers {
			q := &p.peers[i]
			if !q.live || !q.hasUse || q.use.Empty {
				continue
			}
			for _, u := range [2]struct {
				an     uint8
				rx, tx bool
			}{{q.use.Latest.AN, q.use.Latest.Rx, q.use.Latest.Tx}, {q.use.Old.AN, q.use.Old.Rx, q.use.Old.Tx}} {
				if u.rx || u.tx {
					named[u.an&3] = true
				}
				if u.tx {
					busy[u.an&3] = true
				}
			}
		}
	}
	avoid := [][4]bool{named, busy}
	if !wait {
		avoid = append(avoid, [4]bool{})
	}
	for _, not := range avoid {
		for i := range 4 {
			if an := (first + i) & 3; !e.table[an].used && !not[an] {
				return an
			}
		}
	}
	return -1
}

// drop empties an AN: its SAs are deleted, the SAK is zeroed.
func (e *Entity) drop(an int) {
	s := &e.table[an]
	if !s.used {
		return
	}
	e.unqueue(s.key)
	if s.txWanted || s.adopted {
		e.queue(sa.Change{Kind: sa.DeleteTx, SA: sa.SA{AN: uint8(an), Key: s.key}})
	}
	for i := range s.rx {
		e.queue(sa.Change{Kind: sa.DeleteRx, SCI: s.rx[i].sci, SA: sa.SA{AN: uint8(an), Key: s.key}})
	}
	for i := range s.rx {
		if sci := s.rx[i].sci; !e.sciUsed(sci, an) {
			e.queue(sa.Change{Kind: sa.DeleteSC, SCI: sci})
		}
	}
	s.sak.Zero()
	if e.encoding == an {
		e.encoding = -1
	}
	*s = slot{}
	e.dirty, e.freed = true, true
}

// sciUsed tells whether a receive SC has an SA besides the one on AN except.
func (e *Entity) sciUsed(sci sa.SCI, except int) bool {
	for an := range e.table {
		if an != except && e.table[an].used && e.table[an].rxFor(sci) != nil {
			return true
		}
	}
	return false
}

// queue puts a change behind those that wait. A DeleteSC before an InstallRx
// for the same SC is useless work and is dropped; and a lowest PN replaces the
// one that waits.
func (e *Entity) queue(c sa.Change) {
	if c.Kind == sa.RaiseLowestPN {
		for i := range e.changes {
			if w := &e.changes[i]; w.Kind == c.Kind && w.SCI == c.SCI && w.SA.Key == c.SA.Key && (i > 0 || !e.busy) {
				w.SA.PN = c.SA.PN
				return
			}
		}
	}
	if c.Kind == sa.InstallRx {
		keep := e.changes[:0]
		for i, w := range e.changes {
			if w.Kind == sa.DeleteSC && w.SCI == c.SCI && (i > 0 || !e.busy) {
				continue
			}
			keep = append(keep, w)
		}
		e.changes = keep
	}
	e.changes = append(e.changes, c)
}

// unqueue takes back the installs of a key that have not begun.
func (e *Entity) unqueue(k sa.KeyID) {
	keep := e.changes[:0]
	for i, c := range e.changes {
		install := c.Kind == sa.InstallRx || c.Kind == sa.InstallTx || c.Kind == sa.Encode
		if install && c.SA.Key == k && (i > 0 || !e.busy) {
			c.SA.SAK.Zero()
			continue
		}
		keep = append(keep, c)
	}
	e.changes = keep
}

// maxUsed bounds the key identifiers that are remembered.
const maxUsed = 16

// use remembers a key identifier for ever, across restarts: before its first
// install, the Entity asks for it to be saved.
func (e *Entity) use(k sa.KeyID) {
	if k.IsZero() || slices.Contains(e.used, k) {
		return
	}
	e.used = append(e.used, k)
	if len(e.used) > maxUsed {
		e.used = append(e.used[:0], e.used[len(e.used)-maxUsed:]...)
	}
	e.dirty = true
}

// join adds receive SAs for members that a SAK was made for and that were not
// known when it arrived.
func (e *Entity) join() {
	if e.cfg.Suite.XPN() {
		return
	}
	for an := range e.table {
		s := &e.table[an]
		if !s.used || s.sak == nil || s.owner == nil {
			continue
		}
		for i := range s.owner.peers {
			q := &s.owner.peers[i]
			if q.live && s.rxFor(q.sci) == nil && slices.Contains(s.members, q.mi) {
				s.rx = append(s.rx, rxSA{sci: q.sci})
				e.install(an)
			}
		}
	}
}

// install queues what the slot still lacks. Each change owns a clone of the
// SAK, zeroed when it is done.
func (e *Entity) install(an int) {
	s := &e.table[an]
	if s.sak == nil {
		return
	}
	e.use(s.key)
	for i := range s.rx {
		r := &s.rx[i]
		if r.queued {
			continue
		}
		r.queued = true
		e.queue(sa.Change{Kind: sa.InstallRx, SCI: r.sci, SA: sa.SA{AN: uint8(an), Key: s.key, SAK: s.sak.Clone(), PN: 1, SSCI: r.ssci, Salt: s.salt}})
	}
	if !s.txWanted {
		s.txWanted = true
		e.queue(sa.Change{Kind: sa.InstallTx, SCI: e.cfg.SCI, SA: sa.SA{AN: uint8(an), Key: s.key, SAK: s.sak.Clone(), PN: 1, SSCI: s.ssci, Salt: s.salt}})
	}
}
