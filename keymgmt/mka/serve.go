package mka

import (
	"io"
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/kdf"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// distributionGap is the least time between two SAKs of one CA, so that
// members that come and go cannot make it a storm.
const distributionGap = 100 * time.Millisecond

// serve does the key server's work: it finds the one CKN on which a SAK is due
// and makes it. In order of preference:
//
//   - A CKN that is preferred to the carrying one gets a SAK when every SCI
//     that is live on the carrying CKN is live there too: the move.
//   - The carrying CKN gets a fresh one when its members have changed, PNs
//     near their end, the SAK is too old, or its key server is a new one,
//     unless a move is under way.
//   - Others get none.
func (e *Entity) serve(now time.Duration, out *[]Action) {
	for _, p := range e.participants {
		p.want = p.want && p.isServer
	}
	if e.suspended(now) {
		return
	}
	if e.ownPending(now, out) {
		return
	}
	carrying := e.carrying()
	if carrying != nil && carrying.liveCount() == 0 {
		carrying = nil
	}
	for _, p := range e.participants {
		switch {
		case p == carrying:
			if !p.isServer || e.moving(now) || e.awaited(now, p) {
				return
			}
			if e.due(now, p) {
				e.distribute(now, p, out)
			} else {
				p.want = false
			}
			return
		case p.isServer && !p.leaving && e.movable(p, carrying) && !e.awaited(now, p):
			e.distribute(now, p, out)
			return
		}
	}
}

// ownPending tells whether a SAK of ours is on its way: there is one at a
// time, over all CKNs. One that was made for other members is dropped.
func (e *Entity) ownPending(now time.Duration, out *[]Action) (on bool) {
	for an := range e.table {
		s := &e.table[an]
		if !e.pending(an) || !s.ours || !s.owner.isServer {
			continue
		}
		p := s.owner
		cause := "the members changed"
		switch same := s.key.MI == p.mi && p.sameMembers(s.members); {
		case e.clashes(now, an):
			cause = "a live peer uses its AN for another SAK"
		case same || p.settling(now) && now < s.since+2*settleTime:
			on = true
			continue
		}
		e.tell(now, out, Report{Kind: SAKAbandoned, CKN: p.ckn, Key: s.key, AN: uint8(an), Cause: cause})
		e.drop(an)
	}
	return on
}

// stranded tells whether it is time for a fresh SAK because a live peer cannot
// receive the one in use: it was put in use by the transmit timeout. The peer
// may use the AN for a CA that we are not in, so that the next AN will do; or
// nothing will, so that the attempts become rare.
func (e *Entity) stranded(now time.Duration, p *participant, s *slot) bool {
	if p.allReceive(s.key) {
		p.attempts = 0
		return false
	}
	if now < s.strandedUntil(p, e.cfg.Life) {
		return false
	}
	p.attempts++
	return true
}

// strandedUntil is when a SAK that a peer cannot receive is replaced.
func (s *slot) strandedUntil(p *participant, life time.Duration) time.Duration {
	return s.since + 2*life<<min(max(p.attempts, 1)-1, 5)
}

// clashes tells whether a live peer goes on using the AN of a SAK of ours for
// another one, and so cannot take ours.
func (e *Entity) clashes(now time.Duration, an int) bool {
	s := &e.table[an]
	if now < s.since+e.stale() {
		return false
	}
	for _, p := range e.participants {
		for i := range p.peers {
			q := &p.peers[i]
			if !q.live || !q.hasUse || q.use.Empty {
				continue
			}
			for _, u := range [2]*mkpdu.KeyUse{&q.use.Latest, &q.use.Old} {
				if int(u.AN) != an || u.Key == s.key || !u.Rx && !u.Tx {
					continue
				}
				if there := s.owner.liveSCI(q.sci); there != nil && !there.receives(s.key) {
					return true
				}
			}
		}
	}
	return false
}

// awaited tells whether a member has not come back yet that the adopted SAK
// which encodes here was shared with: it may be restarting too, while its SecY
// goes on with that SAK. A fresh one waits for it, for the life time.
func (e *Entity) awaited(now time.Duration, p *participant) bool {
	if e.encoding < 0 || !e.table[e.encoding].adopted || now >= e.start+e.cfg.Life {
		return false
	}
	for _, r := range e.table[e.encoding].rx {
		if p.liveSCI(r.sci) == nil {
			return true
		}
	}
	return false
}

// moving tells whether another key server's SAK of another CKN than the
// carrying one is on its way.
func (e *Entity) moving(now time.Duration) bool {
	for an := range e.table {
		if s := &e.table[an]; e.pending(an) && s.owner != e.carrying() && now < s.since+e.cfg.Life {
			return true
		}
	}
	return false
}

// movable tells whether traffic can move from carrying, which may be nil, to
// p without loss, and should.
func (e *Entity) movable(p, carrying *participant) bool {
	if p.liveCount() == 0 {
		return false
	}
	if carrying == nil {
		return true
	}
	if carrying == e.obeyed && p.liveSince <= e.obeyedAt && !carrying.leaving {
		return false
	}
	for i := range carrying.peers {
		if q := &carrying.peers[i]; q.live {
			if o := p.liveSCI(q.sci); o == nil || !o.listsUs {
				return false
			}
		}
	}
	return true
}

// due tells whether the carrying CKN, whose key server we are, needs a fresh
// SAK.
func (e *Entity) due(now time.Duration, p *participant) bool {
	latest, _ := e.latest(p)
	if latest < 0 {
		return true
	}
	s := &e.table[latest]
	switch {
	case e.pending(latest):
		return false
	case !s.ours, e.clashes(now, latest), e.stranded(now, p, s), s.key.MI != p.mi, !p.sameMembers(s.members), s.exhausting, e.peerExhausting(now, p, s):
		return true
	}
	if an, waits := e.waiting(p); waits {
		// A move to another CKN waits for its AN: make room for it, and do not
		// get in its way again.
		return an == latest
	}
	return e.cfg.Rekey > 0 && now >= s.since+e.cfg.Rekey
}

// waiting is the AN of a SAK that was offered on another CKN than p's and waits.
func (e *Entity) waiting(p *participant) (an int, ok bool) {
	for _, o := range e.participants {
		if o != p && o.offer.valid {
			return int(o.offer.dist.AN & 3), true
		}
	}
	return 0, false
}

// sameMembers compares the MIs of the live peers with those that a SAK was
// made for.
func (p *participant) sameMembers(members []sa.MI) bool {
	n := 0
	for i := range p.peers {
		if q := &p.peers[i]; q.live {
			if !slices.Contains(members, q.mi) {
				return false
			}
			n++
		}
	}
	return n == len(members)
}

// distribute makes a SAK for p's CA, once potential peers have had their
// moment, and installs it here. It goes out when that is done.
func (e *Entity) distribute(now time.Duration, p *participant, out *[]Action) {
	if !p.want {
		p.want, p.wantSince = true, now
	}
	if p.settling(now) && now < p.wantSince+2*settleTime || now < p.retryAfter || now < p.lastDist+distributionGap {
		return
	}
	an := e.freeAN(now < p.wantSince+e.cfg.Life)
	if an < 0 {
		return
	}
	p.want, p.retryAfter = false, 0
	members := make([]sa.MI, 0, len(p.peers))
	scis := make([]sa.SCI, 0, len(p.peers))
	list := append([]byte(nil), p.mi[:]...)
	for i := range p.peers {
		if q := &p.peers[i]; q.live {
			members = append(members, q.mi)
			scis = append(scis, q.sci)
			list = append(list, q.mi[:]...)
		}
	}
	sak, wrapped, err := e.makeSAK(p, list)
	if err != nil {
		e.tell(now, out, Report{Kind: NoRandom, CKN: p.ckn, Cause: err.Error()})
		p.retryAfter = now + e.cfg.Hello
		return
	}
	p.lastDist = now
	e.seq++
	s := &e.table[an]
	*s = slot{used: true, seq: e.seq, key: sa.KeyID{MI: p.mi, KN: p.kn}, owner: p, sak: sak, server: e.cfg.SCI, ours: true, members: members, wrapped: wrapped, since: now, quiet: Never}
	e.fill(s, scis, 0)
	e.install(an)
	e.counters.SAKsDistributed++
	e.tell(now, out, Report{Kind: SAKDistributed, CKN: p.ckn, SCI: e.cfg.SCI, Key: s.key, AN: uint8(an)})
}

// makeSAK derives and wraps the next SAK (802.1X 9.8.1): the KDF over a nonce
// as long as the SAK, all members' MIs, and the next KN.
func (e *Entity) makeSAK(p *participant, miList []byte) (*secret.Key, []byte, error) {
	n := e.cfg.Suite.KeyLen()
	var nonce [32]byte
	defer clear(nonce[:])
	if _, err := io.ReadFull(e.cfg.Rand, nonce[:n]); err != nil {
		return nil, nil, err
	}
	p.kn++
	sak, err := kdf.SAK(p.cak, nonce[:n], miList, p.kn, n)
	if err != nil {
		return nil, nil, err
	}
	wrapped, err := kdf.Wrap(nil, p.kek, sak)
	if err != nil {
		sak.Zero()
	}
	return sak, wrapped, err
}

// fill gives a slot its receive SAs and, with XPN, salt and SSCIs: the
// greatest SCI has SSCI 1 (802.1AE 10.7.13), unless the key server, whose own
// is serverSSCI if that is not 0, says otherwise.
func (e *Entity) fill(s *slot, scis []sa.SCI, serverSSCI uint8) {
	order := append(slices.Clone(scis), e.cfg.SCI)
	slices.SortFunc(order, func(a, b sa.SCI) int {
		switch {
		case a == b:
			return 0
		case b.Less(a):
			return -1
		}
		return 1
	})
	order = slices.Compact(order)
	if at := int(serverSSCI) - 1; at >= 0 && at < len(order) && order[at] != s.server {
		if i := slices.Index(order, s.server); i >= 0 {
			order = slices.Insert(slices.Delete(order, i, i+1), at, s.server)
		}
	}
	xpn := e.cfg.Suite.XPN()
	if xpn {
		s.salt = kdf.Salt(s.key)
	}
	for i, sci := range order {
		var ssci uint32
		if xpn {
			ssci = uint32(i + 1)
		}
		if sci == e.cfg.SCI {
			s.ssci = ssci
			continue
		}
		s.rx = append(s.rx, rxSA{sci: sci, ssci: ssci})
	}
}
