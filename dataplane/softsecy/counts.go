package softsecy

import (
	"bytes"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/linkseal/linkseal/dataplane/secy/counters"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Counters are a SecY's since it was made. InPktsOverrun is for whoever has the
// sockets to fill in.
type Counters struct {
	counters.Counters
	// OutPktsDropped are frames that could not be sent: no encoding SA, its
	// PNs are used up, the port is unsecured, or there are no user data.
	OutPktsDropped uint64 `json:"out_pkts_dropped"`
}

// The counters of received frames, by index.
const (
	inUntagged = iota
	inNoTag
	inBadTag
	inUnknownSCI
	inNoSCI
	inOctetsValidated // the first of those that an SC has too
	inOctetsDecrypted
	inDelayed
	inOK
	inInvalid
	inLate
	inNotValid
	inNotUsingSA
	inUnusedSA
	inCounters

	ofSC = inOctetsValidated
)

// The counters of frames to be sent, by index.
const (
	outUntagged = iota
	outTooLong
	outDropped
	outProtected
	outEncrypted
	outOctetsProtected
	outOctetsEncrypted
	outCounters
)

// scCounts are a receive SC's, from ofSC on.
type scCounts [inCounters - ofSC]atomic.Uint64

// The counters of a receive SA, by index. What an AN without SA receives
// counts for the SC alone: there is no SA that InPktsNotUsingSA and
// InPktsUnusedSA could be told of.
const (
	saOK = iota
	saInvalid
	saNotValid
	saCounters
)

// rxBatch is what one goroutine has counted of one SC and SA, and not yet told.
type rxBatch struct {
	n   [inCounters]uint64
	any bool
}

// tell adds the batch to the SecY's counters, those of sc and those of a, each
// nil if the frames had none.
func (b *rxBatch) tell(s *SecY, sc *rxSC, a *rxSA) {
	if !b.any {
		return
	}
	for i, n := range b.n {
		if n == 0 {
			continue
		}
		s.in[i].Add(n)
		if sc != nil && i >= ofSC {
			sc.counts[i-ofSC].Add(n)
		}
	}
	if a != nil {
		a.counts[saOK].Add(b.n[inOK])
		a.counts[saInvalid].Add(b.n[inInvalid])
		a.counts[saNotValid].Add(b.n[inNotValid])
	}
	*b = rxBatch{}
}

// Counters are those of all frames whose Transmitter or Receiver was flushed
// since.
func (s *SecY) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := func(i int) uint64 { return s.in[i].Load() }
	out := func(i int) uint64 { return s.out[i].Load() }
	c := Counters{
		Counters: counters.Counters{
			SecY: counters.SecY{
				OutPktsUntagged: out(outUntagged), OutPktsTooLong: out(outTooLong),
				InPktsUntagged: in(inUntagged), InPktsNoTag: in(inNoTag), InPktsBadTag: in(inBadTag),
				InPktsUnknownSCI: in(inUnknownSCI), InPktsNoSCI: in(inNoSCI),
			},
			TxSC: counters.TxSC{
				OutPktsProtected: out(outProtected), OutPktsEncrypted: out(outEncrypted),
				OutOctetsProtected: out(outOctetsProtected), OutOctetsEncrypted: out(outOctetsEncrypted),
			},
			RxSC:  rxSCCounters(in),
			TxSAs: make([]counters.TxSA, 0, numAN),
			RxSCs: make([]counters.RxChannel, 0, len(s.rxSCs)),
		},
		OutPktsDropped: out(outDropped),
	}
	for _, a := range s.txSAs {
		if a != nil {
			c.TxSAs = append(c.TxSAs, counters.TxSA{AN: a.an, Key: a.key.String(),
				OutPktsProtected: a.protected.Load(), OutPktsEncrypted: a.encrypted.Load()})
		}
	}
	for _, sci := range sortedSCIs(s.rxSCs) {
		c.RxSCs = append(c.RxSCs, s.rxSCs[sci].counters())
	}
	return c
}

func (sc *rxSC) counters() counters.RxChannel {
	c := counters.RxChannel{
		SCI:  sc.sci.String(),
		RxSC: rxSCCounters(func(i int) uint64 { return sc.counts[i-ofSC].Load() }),
		SAs:  make([]counters.RxSA, 0, numAN),
	}
	for an, a := range sc.sa {
		if a != nil {
			c.SAs = append(c.SAs, counters.RxSA{AN: uint8(an), Key: a.key.String(),
				InPktsOK: a.counts[saOK].Load(), InPktsInvalid: a.counts[saInvalid].Load(), InPktsNotValid: a.counts[saNotValid].Load()})
		}
	}
	return c
}

// rxSCCounters has no InPktsUnchecked: validateFrames is never disabled.
func rxSCCounters(n func(i int) uint64) counters.RxSC {
	return counters.RxSC{
		InOctetsValidated: n(inOctetsValidated), InOctetsDecrypted: n(inOctetsDecrypted),
		InPktsDelayed: n(inDelayed), InPktsOK: n(inOK), InPktsInvalid: n(inInvalid), InPktsLate: n(inLate),
		InPktsNotValid: n(inNotValid), InPktsNotUsingSA: n(inNotUsingSA), InPktsUnusedSA: n(inUnusedSA),
	}
}

// sortedSCIs are those of scs, in order.
func sortedSCIs(scs map[sa.SCI]*rxSC) []sa.SCI {
	return slices.SortedFunc(maps.Keys(scs), func(a, b sa.SCI) int { return bytes.Compare(a[:], b[:]) })
}
