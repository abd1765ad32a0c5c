package mkpdu

// Error is why Parse refused a frame. It is comparable, small and never
// allocated, so that it can index a counter.
type Error uint8

// What Parse refuses. Where 802.1X-2020 11.11.2 and 11.11.4 say to discard,
// that is why; the rest cannot be decoded.
const (
	_ Error = iota
	// FrameShort: no room for the Ethernet and EAPOL headers.
	FrameShort
	// BadEAPOLVersion: EAPOL version 0.
	BadEAPOLVersion
	// NotMKA: an EAPOL packet type other than 5.
	NotMKA
	// EAPOLTruncated: the EAPOL body is longer than the frame.
	EAPOLTruncated
	// BodyShort: an MKPDU of less than 32 octets.
	BodyShort
	// BodyNotMultiple: an MKPDU that is not a multiple of 4 octets.
	BodyNotMultiple
	// BadVersion: MKA version 0.
	BadVersion
	// BasicLength: a Basic Parameter Set whose body leaves no CKN of 1 to 32
	// octets.
	BasicLength
	// BasicOverrun: no room for the Basic Parameter Set and an ICV.
	BasicOverrun
	// BadAgility: an algorithm agility other than 00-80-C2-01.
	BadAgility
	// SetOverrun: a parameter set that reaches into the ICV.
	SetOverrun
	// DuplicateSet: a known parameter set twice.
	DuplicateSet
	// PeerListLength: a peer list that is not a multiple of 16 octets.
	PeerListLength
	// SAKUseLength: a MACsec SAK Use body of neither 0 nor 40 octets.
	SAKUseLength
	// DistributedSAKLength: a Distributed SAK body of neither 0 nor 28 octets
	// nor of 12 and the wrapped key that its cipher suite asks for.
	DistributedSAKLength
	// XPNLength: an XPN body that does not have 8 octets.
	XPNLength
	// BadICVIndicator: an ICV Indicator that is not last, or names an ICV
	// that does not have 16 octets.
	BadICVIndicator

	// Errors is one more than the greatest Error, for arrays of counters.
	Errors
)

var errorTexts = [Errors]struct{ name, text string }{
	FrameShort:           {"frame_short", "frame of less than 18 octets, too short for EAPOL"},
	BadEAPOLVersion:      {"eapol_version", "EAPOL version 0, want 1 or greater"},
	NotMKA:               {"not_mka", "EAPOL packet type is not 5, MKA"},
	EAPOLTruncated:       {"eapol_truncated", "EAPOL body is longer than the frame"},
	BodyShort:            {"body_short", "MKPDU of less than 32 octets"},
	BodyNotMultiple:      {"body_not_multiple", "MKPDU is not a multiple of 4 octets"},
	BadVersion:           {"mka_version", "MKA version 0, want 1 or greater"},
	BasicLength:          {"basic_length", "Basic Parameter Set has no CKN of 1 to 32 octets"},
	BasicOverrun:         {"basic_overrun", "Basic Parameter Set leaves no room for the ICV"},
	BadAgility:           {"agility", "algorithm agility is not 00-80-C2-01"},
	SetOverrun:           {"set_overrun", "parameter set is longer than the MKPDU"},
	DuplicateSet:         {"duplicate_set", "parameter set is there twice"},
	PeerListLength:       {"peer_list_length", "peer list is not a multiple of 16 octets"},
	SAKUseLength:         {"sak_use_length", "MACsec SAK Use has neither 0 nor 40 octets"},
	DistributedSAKLength: {"distributed_sak_length", "Distributed SAK has neither 0 nor 28 octets nor what its cipher suite asks for"},
	XPNLength:            {"xpn_length", "XPN parameter set does not have 8 octets"},
	BadICVIndicator:      {"icv_indicator", "ICV Indicator is not last with an ICV of 16 octets"},
}

// Error says what is wrong with the frame.
func (e Error) Error() string {
	if e == 0 || e >= Errors {
		return "malformed MKPDU"
	}
	return "malformed MKPDU: " + errorTexts[e].text
}

// Name is the kind in snake case, for a counter.
func (e Error) Name() string {
	if e == 0 || e >= Errors {
		return "unknown"
	}
	return errorTexts[e].name
}
