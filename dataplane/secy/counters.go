package secy

import (
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/macsec"
)

// Counters are a SecY's, named as in 802.1AE-2018 10.7. What is embedded
// counts for the whole SecY since it was opened or its device was made,
// whichever the kernel knows: it does not fall when SCs or SAs go.
type Counters struct {
	SecYCounters
	TxSCCounters
	// RxSCCounters is the sum over all receive SCs, those that are gone
	// included.
	RxSCCounters
	TxSA []TxSACounters `json:"tx_sa"`
	RxSC []RxSC         `json:"rx_sc"`
}

// SecYCounters are the SecY's own.
type SecYCounters struct {
	OutPktsUntagged  uint64 `json:"out_pkts_untagged"`
	OutPktsTooLong   uint64 `json:"out_pkts_too_long"`
	InPktsUntagged   uint64 `json:"in_pkts_untagged"`
	InPktsNoTag      uint64 `json:"in_pkts_no_tag"`
	InPktsBadTag     uint64 `json:"in_pkts_bad_tag"`
	InPktsUnknownSCI uint64 `json:"in_pkts_unknown_sci"`
	InPktsNoSCI      uint64 `json:"in_pkts_no_sci"`
	InPktsOverrun    uint64 `json:"in_pkts_overrun"`
}

// TxSCCounters are the transmit SC's.
type TxSCCounters struct {
	OutPktsProtected   uint64 `json:"out_pkts_protected"`
	OutPktsEncrypted   uint64 `json:"out_pkts_encrypted"`
	OutOctetsProtected uint64 `json:"out_octets_protected"`
	OutOctetsEncrypted uint64 `json:"out_octets_encrypted"`
}

// RxSCCounters are a receive SC's.
type RxSCCounters struct {
	InOctetsValidated uint64 `json:"in_octets_validated"`
	InOctetsDecrypted uint64 `json:"in_octets_decrypted"`
	InPktsUnchecked   uint64 `json:"in_pkts_unchecked"`
	InPktsDelayed     uint64 `json:"in_pkts_delayed"`
	InPktsOK          uint64 `json:"in_pkts_ok"`
	InPktsInvalid     uint64 `json:"in_pkts_invalid"`
	InPktsLate        uint64 `json:"in_pkts_late"`
	InPktsNotValid    uint64 `json:"in_pkts_not_valid"`
	InPktsNotUsingSA  uint64 `json:"in_pkts_not_using_sa"`
	InPktsUnusedSA    uint64 `json:"in_pkts_unused_sa"`
}

// RxSC is one receive SC with its SAs.
type RxSC struct {
	SCI string `json:"sci"` // 16 hex digits
	RxSCCounters
	SA []RxSACounters `json:"sa"`
}

// TxSACounters are a transmit SA's. The kernel counts in 32 bits; here they
// are extended at each poll, which must come before they wrap twice: Observe
// every few seconds is enough for 100 Gbit/s.
type TxSACounters struct {
	AN               uint8  `json:"an"`
	Key              string `json:"key"` // MI in hex, "/", KN
	OutPktsProtected uint64 `json:"out_pkts_protected"`
	OutPktsEncrypted uint64 `json:"out_pkts_encrypted"`
}

// RxSACounters are a receive SA's, extended like TxSACounters.
type RxSACounters struct {
	AN               uint8  `json:"an"`
	Key              string `json:"key"`
	InPktsOK         uint64 `json:"in_pkts_ok"`
	InPktsInvalid    uint64 `json:"in_pkts_invalid"`
	InPktsNotValid   uint64 `json:"in_pkts_not_valid"`
	InPktsNotUsingSA uint64 `json:"in_pkts_not_using_sa"`
	InPktsUnusedSA   uint64 `json:"in_pkts_unused_sa"`
}

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
	d := &dev.Stats
	c := Counters{
		SecYCounters: SecYCounters{d.OutPktsUntagged, d.OutPktsTooLong, d.InPktsUntagged, d.InPktsNoTag,
			d.InPktsBadTag, d.InPktsUnknownSCI, d.InPktsNoSCI, d.InPktsOverrun},
		TxSCCounters: TxSCCounters(dev.TxSCStats),
		RxSCCounters: RxSCCounters(t.gone),
		TxSA:         make([]TxSACounters, 0, len(dev.TxSA)),
		RxSC:         make([]RxSC, 0, len(dev.RxSC)),
	}
	for _, a := range dev.TxSA {
		n := t.sas[txID(&a)].total
		c.TxSA = append(c.TxSA, TxSACounters{AN: a.AN, Key: sa.KeyIDFromOctets(a.KeyID).String(),
			OutPktsProtected: n[outProtected], OutPktsEncrypted: n[outEncrypted]})
	}
	for _, sc := range dev.RxSC {
		r := RxSC{SCI: sc.SCI.String(), RxSCCounters: RxSCCounters(sc.Stats), SA: make([]RxSACounters, 0, len(sc.SA))}
		c.RxSCCounters = RxSCCounters(addStats(macsec.RxSCStats(c.RxSCCounters), sc.Stats))
		for _, a := range sc.SA {
			n := t.sas[rxID(sc.SCI, &a)].total
			r.SA = append(r.SA, RxSACounters{AN: a.AN, Key: sa.KeyIDFromOctets(a.KeyID).String(),
				InPktsOK: n[inOK], InPktsInvalid: n[inInvalid], InPktsNotValid: n[inNotValid],
				InPktsNotUsingSA: n[inNotUsingSA], InPktsUnusedSA: n[inUnusedSA]})
		}
		c.RxSC = append(c.RxSC, r)
	}
	return c
}
