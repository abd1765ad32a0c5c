package mka

import (
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

const (
	// maxPeers bounds the members of one CA, live and potential. It keeps an
	// MKPDU within one frame of 1500 octets.
	maxPeers = 50
	// maxPotential bounds those that have not proved to be there.
	maxPotential = 16
	// settleTime is how long a key server waits for a potential peer to
	// become live before it distributes a SAK without it.
	settleTime = 300 * time.Millisecond
)

// peer is another member as its MKPDUs describe it.
type peer struct {
	sci       sa.SCI
	mi        sa.MI
	mn        uint32
	source    [6]byte // of its last MKPDU
	icvBad    uint64  // MKPDUs under its MI with a bad ICV
	live      bool
	priority  uint8
	version   uint8
	keyServer bool // its Key Server flag
	desired   bool
	capable   uint8
	listsUs   bool
	lists     uint32 // the MN of ours that it lists; 0: none
	kssci     uint8
	stranger  sa.MI // one that it holds live and we had not heard of, or zero
	first     time.Duration
	heard     time.Duration
	expires   time.Duration // a live peer's: life after it last listed us
	suspended time.Duration // until when it suspends MKA
	// suspendedFrom is when that began; 0 once it has said that it is over.
	suspendedFrom time.Duration

	use     mkpdu.SAKUse
	hasUse  bool
	useAt   time.Duration
	xpn     bool      // its last MKPDU had an XPN set
	useHigh [2]uint32 // high words of the lowest PNs: latest, old; if xpn
	lastKN  uint32    // greatest KN accepted from this MI
}

// encodesWith is the key identifier that the peer says it transmits with.
// hostap leaves the old key's transmit flag on after it has moved, so that
// the latest key goes first.
func (q *peer) encodesWith() (sa.KeyID, bool) {
	switch {
	case !q.hasUse || q.use.Empty:
		return sa.KeyID{}, false
	case q.use.Latest.Tx:
		return q.use.Latest.Key, true
	case q.use.Old.Tx:
		return q.use.Old.Key, true
	}
	return sa.KeyID{}, false
}

// receives tells whether the peer has announced receive on the key.
func (q *peer) receives(k sa.KeyID) bool {
	return q.hasUse && (q.use.Latest.Rx && q.use.Latest.Key == k || q.use.Old.Rx && q.use.Old.Key == k)
}

// transmits tells whether the peer has announced transmit on the key.
func (q *peer) transmits(k sa.KeyID) bool {
	return q.hasUse && (q.use.Latest.Tx && q.use.Latest.Key == k || q.use.Old.Tx && q.use.Old.Key == k)
}

// allTransmit tells whether every live peer has announced transmit on the key.
func (p *participant) allTransmit(k sa.KeyID) bool {
	for i := range p.peers {
		if q := &p.peers[i]; q.live && !q.transmits(k) {
			return false
		}
	}
	return true
}

// allReceive tells whether every live peer has announced receive on the key.
func (p *participant) allReceive(k sa.KeyID) bool {
	for i := range p.peers {
		if q := &p.peers[i]; q.live && !q.receives(k) {
			return false
		}
	}
	return true
}

// names tells whether the peer's last SAK Use names the key at all.
func (q *peer) names(k sa.KeyID) bool {
	return q.hasUse && !q.use.Empty && (q.use.Latest.Key == k || q.use.Old.Key == k)
}

// tomb remembers an MI that is gone, so that its recorded MKPDUs stay dead.
type tomb struct {
	mi       sa.MI
	mn       uint32
	lastKN   uint32
	replaced bool // by another MI of the same SCI: it never comes back
	until    time.Duration
}

// bury forgets peer i. The MI of one that was live is remembered for two life
// times, longer than an MN of ours that its MKPDUs list stays recent. One that
// was only potential needs no tomb: it never listed us, and so no MKPDU of its
// that was recorded does; and whoever replays old sessions could fill the list.
func (p *participant) bury(i int, replaced bool, now, life time.Duration) {
	q := &p.peers[i]
	if q.live {
		keep := p.tombs[:0]
		for _, t := range p.tombs {
			if t.until > now && t.mi != q.mi {
				keep = append(keep, t)
			}
		}
		if len(keep) == maxPeers {
			keep = append(keep[:0], keep[1:]...)
		}
		p.tombs = append(keep, tomb{mi: q.mi, mn: q.mn, lastKN: q.lastKN, replaced: replaced, until: now + 2*life})
	}
	p.peers[i] = p.peers[len(p.peers)-1]
	p.peers[len(p.peers)-1] = peer{}
	p.peers = p.peers[:len(p.peers)-1]
}

func (p *participant) tomb(mi *sa.MI, now time.Duration) *tomb {
	for i := range p.tombs {
		if t := &p.tombs[i]; t.mi == *mi && t.until > now {
			return t
		}
	}
	return nil
}

// addPeer makes room for a potential peer: the oldest potential one goes if
// there are too many. It returns nil if the CA is full of live ones.
func (p *participant) addPeer() *peer {
	oldest, potential := -1, 0
	for i := range p.peers {
		if p.peers[i].live {
			continue
		}
		potential++
		if oldest < 0 || p.peers[i].first < p.peers[oldest].first {
			oldest = i
		}
	}
	if potential >= maxPotential || len(p.peers) >= maxPeers {
		if oldest < 0 {
			return nil
		}
		p.peers[oldest] = peer{}
		return &p.peers[oldest]
	}
	p.peers = append(p.peers, peer{})
	return &p.peers[len(p.peers)-1]
}

// elect chooses the key server among ourselves and the live peers (802.1X
// 9.5): the lowest priority, then the lowest SCI; hostap compares the MAC
// alone, which orders the same way for one port a station. Priority 255 is
// never elected, but hostap elects it: where everybody has 255, a peer that
// says it is key server is obeyed.
func (p *participant) elect(cfg *Config) (sci sa.SCI, ok bool) {
	best := cfg.Priority
	if live := p.liveCount(); live > 0 && cfg.Priority != noPriority {
		sci, ok = cfg.SCI, true
	}
	for i := range p.peers {
		q := &p.peers[i]
		if !q.live || q.priority == noPriority {
			continue
		}
		if !ok || q.priority < best || q.priority == best && q.sci.Less(sci) {
			sci, best, ok = q.sci, q.priority, true
		}
	}
	if ok {
		return sci, true
	}
	for i := range p.peers {
		if q := &p.peers[i]; q.live && q.keyServer && (!ok || q.sci.Less(sci)) {
			sci, ok = q.sci, true
		}
	}
	return sci, ok
}

// settling tells whether a potential peer is so new that it may become live
// in a moment, or a live one knows members that we have yet to hear.
func (p *participant) settling(now time.Duration) bool {
	for i := range p.peers {
		q := &p.peers[i]
		switch {
		case !q.live && now-q.first < settleTime:
			return true
		case q.live && q.stranger != (sa.MI{}) && p.byMI(&q.stranger) == nil && p.tomb(&q.stranger, now) == nil:
			return true
		}
	}
	return false
}
