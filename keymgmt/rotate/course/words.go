package course

// noun is what is rotated: a pair of CKN and CAK, or a PSK.
func noun(psk bool) string {
	if psk {
		return "PSK"
	}
	return "pair"
}

// key is what this rotation is of.
func (s *State) key() string { return noun(s.Order.PSK) }

// place is where it is used.
func (s *State) place() string {
	if s.Order.PSK {
		return "tunnel"
	}
	return "port"
}

// name is what is seen of the new key in use.
func (s *State) name() string {
	if s.Order.PSK {
		return "PSK"
	}
	return "CKN"
}

// waits says what a port, or a tunnel, that has come as far as at waits for.
func (s *State) waits(at Phase) string {
	if s.Order.PSK {
		return tunnelWaits[at]
	}
	return portWaits[at]
}

var portWaits = map[Phase]string{
	InKeychain:    "it has no participant for the new CKN: another key or the clock keeps it from being used",
	ParticipantUp: "the peer is not live on the new CKN: it has not got the key yet, or its clock is behind; the traffic goes on under the old one, and nothing is lost meanwhile",
	PeerLive:      "both ends have the new CKN, and the key server has not moved the traffic yet",
	Moved:         "SAs of an older CKN are still there",
}

// tunnelWaits begins with a tunnel of which some members have moved.
var tunnelWaits = map[Phase]string{
	InKeychain:    "there was no handshake under the new PSK: the other end has not got it yet, or its clock is behind; the traffic goes on under the old one, and nothing is lost meanwhile",
	ParticipantUp: "some of its members have had a handshake under the new PSK, the others not yet",
	PeerLive:      "some of its members are under an older PSK still",
	Moved:         "some of its members are under an older PSK still",
}

// wants says what one without a peer is kept for.
func (s *State) wants() string {
	if s.Order.PSK {
		return "it is not live now; the old PSKs are kept until it is, and has moved"
	}
	return "it has no peer now; the old pairs are kept until it has, and has moved"
}

// fails says that what was to be done cannot be.
func (s *State) fails(k Kind) string {
	switch k {
	case List:
		return "the " + s.key() + "s cannot be listed"
	case Write:
		return "the " + s.key() + " cannot be written"
	case Retire:
		return "the old " + s.key() + " cannot be retired"
	}
	return "the journal cannot be saved"
}
