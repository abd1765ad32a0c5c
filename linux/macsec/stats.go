package macsec

// SecYStats are a SecY's counters (802.1AE-2018 10.7.9 and 10.7.18).
type SecYStats struct {
	OutPktsUntagged, OutPktsTooLong              uint64
	InPktsUntagged, InPktsNoTag, InPktsBadTag    uint64
	InPktsUnknownSCI, InPktsNoSCI, InPktsOverrun uint64
}

// TxSCStats are a transmit SC's counters (10.7.18).
type TxSCStats struct {
	OutPktsProtected, OutPktsEncrypted     uint64
	OutOctetsProtected, OutOctetsEncrypted uint64
}

// RxSCStats are a receive SC's counters (10.7.9).
type RxSCStats struct {
	InOctetsValidated, InOctetsDecrypted                         uint64
	InPktsUnchecked, InPktsDelayed, InPktsOK, InPktsInvalid      uint64
	InPktsLate, InPktsNotValid, InPktsNotUsingSA, InPktsUnusedSA uint64
}

// SAStats are an SA's counters. The kernel keeps 32 bits: they wrap, at
// 10 Gbit/s of small frames within five minutes. An RX SA has the In ones, a
// TX SA the Out ones.
type SAStats struct {
	InPktsOK, InPktsInvalid, InPktsNotValid, InPktsNotUsingSA, InPktsUnusedSA uint32
	OutPktsProtected, OutPktsEncrypted                                        uint32
}

// The tables below list the fields by attribute type, from 1.

func (s *SecYStats) fields() []*uint64 {
	return []*uint64{&s.OutPktsUntagged, &s.InPktsUntagged, &s.OutPktsTooLong, &s.InPktsNoTag,
		&s.InPktsBadTag, &s.InPktsUnknownSCI, &s.InPktsNoSCI, &s.InPktsOverrun}
}

func (s *TxSCStats) fields() []*uint64 {
	return []*uint64{&s.OutPktsProtected, &s.OutPktsEncrypted, &s.OutOctetsProtected, &s.OutOctetsEncrypted}
}

func (s *RxSCStats) fields() []*uint64 {
	return []*uint64{&s.InOctetsValidated, &s.InOctetsDecrypted, &s.InPktsUnchecked, &s.InPktsDelayed, &s.InPktsOK,
		&s.InPktsInvalid, &s.InPktsLate, &s.InPktsNotValid, &s.InPktsNotUsingSA, &s.InPktsUnusedSA}
}

func (s *SAStats) fields() []*uint32 {
	return []*uint32{&s.InPktsOK, &s.InPktsInvalid, &s.InPktsNotValid, &s.InPktsNotUsingSA, &s.InPktsUnusedSA,
		&s.OutPktsProtected, &s.OutPktsEncrypted}
}
