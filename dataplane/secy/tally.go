package secy

import "github.com/linkseal/linkseal/linux/macsec"

// tally keeps what the kernel's counters lose: the high half of the SAs', and
// those of receive SCs that are gone.
type tally struct {
	sas  map[saID]*extended
	scs  map[macsec.SCI]macsec.RxSCStats // as last seen
	gone macsec.RxSCStats
}

// saID names an SA for its lifetime: an AN is used again, with another key.
type saID struct {
	rx  bool
	sci macsec.SCI
	an  uint8
	key [16]byte
}

func txID(a *macsec.TxSA) saID { return saID{an: a.AN, key: a.KeyID} }

func rxID(sci macsec.SCI, a *macsec.RxSA) saID {
	return saID{rx: true, sci: sci, an: a.AN, key: a.KeyID}
}

// The counters of an SA, by index.
const (
	inOK = iota
	inInvalid
	inNotValid
	inNotUsingSA
	inUnusedSA
	outProtected
	outEncrypted
	saCounters
)

type extended struct {
	last  [saCounters]uint32
	total [saCounters]uint64
	seen  bool // in the poll under way
}

// update adds what came since the last poll; a difference modulo 2^32 is right
// across one wrap.
func (e *extended) update(s *macsec.SAStats) {
	now := [saCounters]uint32{
		inOK: s.InPktsOK, inInvalid: s.InPktsInvalid, inNotValid: s.InPktsNotValid,
		inNotUsingSA: s.InPktsNotUsingSA, inUnusedSA: s.InPktsUnusedSA,
		outProtected: s.OutPktsProtected, outEncrypted: s.OutPktsEncrypted,
	}
	for i, n := range now {
		e.total[i] += uint64(n - e.last[i])
	}
	e.last, e.seen = now, true
}

// add takes one observation in.
func (t *tally) add(dev *macsec.SecY) {
	if t.sas == nil {
		t.sas = map[saID]*extended{}
		t.scs = map[macsec.SCI]macsec.RxSCStats{}
	}
	for i := range dev.TxSA {
		t.sa(txID(&dev.TxSA[i])).update(&dev.TxSA[i].Stats)
	}
	for i := range dev.RxSC {
		sc := &dev.RxSC[i]
		for j := range sc.SA {
			t.sa(rxID(sc.SCI, &sc.SA[j])).update(&sc.SA[j].Stats)
		}
	}
	for id, e := range t.sas {
		if !e.seen {
			delete(t.sas, id)
		}
		e.seen = false
	}
	t.channels(dev)
}

func (t *tally) sa(id saID) *extended {
	e := t.sas[id]
	if e == nil {
		e = new(extended)
		t.sas[id] = e
	}
	return e
}

// channels moves what SCs had counted to gone when they go, or when they went
// and came again, from zero, between two polls.
func (t *tally) channels(dev *macsec.SecY) {
	for sci, last := range t.scs {
		if now, ok := statsOf(dev, sci); !ok || fell(last, now) {
			t.gone = addStats(t.gone, last)
			delete(t.scs, sci)
		}
	}
	for _, sc := range dev.RxSC {
		t.scs[sc.SCI] = sc.Stats
	}
}

func statsOf(dev *macsec.SecY, sci macsec.SCI) (macsec.RxSCStats, bool) {
	for _, sc := range dev.RxSC {
		if sc.SCI == sci {
			return sc.Stats, true
		}
	}
	return macsec.RxSCStats{}, false
}

func addStats(a, b macsec.RxSCStats) macsec.RxSCStats {
	return macsec.RxSCStats{
		InOctetsValidated: a.InOctetsValidated + b.InOctetsValidated,
		InOctetsDecrypted: a.InOctetsDecrypted + b.InOctetsDecrypted,
		InPktsUnchecked:   a.InPktsUnchecked + b.InPktsUnchecked,
		InPktsDelayed:     a.InPktsDelayed + b.InPktsDelayed,
		InPktsOK:          a.InPktsOK + b.InPktsOK,
		InPktsInvalid:     a.InPktsInvalid + b.InPktsInvalid,
		InPktsLate:        a.InPktsLate + b.InPktsLate,
		InPktsNotValid:    a.InPktsNotValid + b.InPktsNotValid,
		InPktsNotUsingSA:  a.InPktsNotUsingSA + b.InPktsNotUsingSA,
		InPktsUnusedSA:    a.InPktsUnusedSA + b.InPktsUnusedSA,
	}
}

// fell tells whether any counter is lower than it was.
func fell(last, now macsec.RxSCStats) bool {
	return now.InOctetsValidated < last.InOctetsValidated || now.InOctetsDecrypted < last.InOctetsDecrypted ||
		now.InPktsUnchecked < last.InPktsUnchecked || now.InPktsDelayed < last.InPktsDelayed ||
		now.InPktsOK < last.InPktsOK || now.InPktsInvalid < last.InPktsInvalid ||
		now.InPktsLate < last.InPktsLate || now.InPktsNotValid < last.InPktsNotValid ||
		now.InPktsNotUsingSA < last.InPktsNotUsingSA || now.InPktsUnusedSA < last.InPktsUnusedSA
}
