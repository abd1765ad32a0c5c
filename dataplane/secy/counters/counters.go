// Package counters has a SecY's counters as they are told, whichever SecY
// counts: names and meanings are those of 802.1AE-2018 10.7, the JSON is part
// of the status.
package counters

// Counters are a SecY's. What is embedded counts for the whole SecY since it
// began to count: it does not fall when SCs or SAs go.
type Counters struct {
	SecY
	TxSC
	// RxSC is the sum over all receive SCs, those that are gone included.
	RxSC
	TxSAs []TxSA      `json:"tx_sa"`
	RxSCs []RxChannel `json:"rx_sc"`
}

// SecY are the SecY's own.
type SecY struct {
	OutPktsUntagged  uint64 `json:"out_pkts_untagged"`
	OutPktsTooLong   uint64 `json:"out_pkts_too_long"`
	InPktsUntagged   uint64 `json:"in_pkts_untagged"`
	InPktsNoTag      uint64 `json:"in_pkts_no_tag"`
	InPktsBadTag     uint64 `json:"in_pkts_bad_tag"`
	InPktsUnknownSCI uint64 `json:"in_pkts_unknown_sci"`
	InPktsNoSCI      uint64 `json:"in_pkts_no_sci"`
	InPktsOverrun    uint64 `json:"in_pkts_overrun"`
}

// TxSC are the transmit SC's.
type TxSC struct {
	OutPktsProtected   uint64 `json:"out_pkts_protected"`
	OutPktsEncrypted   uint64 `json:"out_pkts_encrypted"`
	OutOctetsProtected uint64 `json:"out_octets_protected"`
	OutOctetsEncrypted uint64 `json:"out_octets_encrypted"`
}

// RxSC are a receive SC's.
type RxSC struct {
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

// RxChannel is one receive SC with its SAs.
type RxChannel struct {
	SCI string `json:"sci"` // 16 hex digits
	RxSC
	SAs []RxSA `json:"sa"`
}

// TxSA are a transmit SA's.
type TxSA struct {
	AN               uint8  `json:"an"`
	Key              string `json:"key"` // MI in hex, "/", KN
	OutPktsProtected uint64 `json:"out_pkts_protected"`
	OutPktsEncrypted uint64 `json:"out_pkts_encrypted"`
}

// RxSA are a receive SA's.
type RxSA struct {
	AN               uint8  `json:"an"`
	Key              string `json:"key"`
	InPktsOK         uint64 `json:"in_pkts_ok"`
	InPktsInvalid    uint64 `json:"in_pkts_invalid"`
	InPktsNotValid   uint64 `json:"in_pkts_not_valid"`
	InPktsNotUsingSA uint64 `json:"in_pkts_not_using_sa"`
	InPktsUnusedSA   uint64 `json:"in_pkts_unused_sa"`
}
