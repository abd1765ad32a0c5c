package secy

import (
	"github.com/linkseal/linkseal/dataplane/secy/counters"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/macsec"
)

// Counters are the device's. What is embedded counts since the SecY was opened
// or its device was made, whichever the kernel knows.
//
// The kernel counts by SA in 32 bits; here they are extended at each poll,
// which must come before they wrap twice: Observe every few seconds is enough
// for 100 Gbit/s.
type Counters = counters.Counters

// Counters polls the device. Every Apply, Observe and SetControlledPort counts
// as a poll too.
func (s *SecY) Counters() (Counters, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dev, err := s.get()
	if err != nil {
		return Counters{}, s.fail("read counters", err)
	}
	return s.tally.counters(dev), nil
}

func (t *tally) counters(dev *macsec.SecY) Counters {
	c := Counters{
		SecY:  counters.SecY(dev.Stats),
		TxSC:  counters.TxSC(dev.TxSCStats),
		RxSC:  counters.RxSC(t.gone),
		TxSAs: make([]counters.TxSA, 0, len(dev.TxSA)),
		RxSCs: make([]counters.RxChannel, 0, len(dev.RxSC)),
	}
	for _, a := range dev.TxSA {
		n := t.sas[txID(&a)].total
		c.TxSAs = append(c.TxSAs, counters.TxSA{AN: a.AN, Key: sa.KeyIDFromOctets(a.KeyID).String(),
			OutPktsProtected: n[outProtected], OutPktsEncrypted: n[outEncrypted]})
	}
	for _, sc := range dev.RxSC {
		r := counters.RxChannel{SCI: sc.SCI.String(), RxSC: counters.RxSC(sc.Stats), SAs: make([]counters.RxSA, 0, len(sc.SA))}
		c.RxSC = counters.RxSC(addStats(macsec.RxSCStats(c.RxSC), sc.Stats))
		for _, a := range sc.SA {
			n := t.sas[rxID(sc.SCI, &a)].total
			r.SAs = append(r.SAs, counters.RxSA{AN: a.AN, Key: sa.KeyIDFromOctets(a.KeyID).String(),
				InPktsOK: n[inOK], InPktsInvalid: n[inInvalid], InPktsNotValid: n[inNotValid],
				InPktsNotUsingSA: n[inNotUsingSA], InPktsUnusedSA: n[inUnusedSA]})
		}
		c.RxSCs = append(c.RxSCs, r)
	}
	return c
}
