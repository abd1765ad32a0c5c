// Package course is the course of a key rotation, without IO or clock: Next
// says what is to be done, Did takes what became of it. The driver is package
// rotate.
//
//	claim -> write a pair -> read it back -> our own keychain has it -> our
//	participants are up -> the peers are live on it -> both ends encode under
//	it -> the old SAs are gone -> hold -> retire the old pairs
//
// Every step can be cut off before or after its effect and done again: what
// is to be written is in the journal (State) before the first effect, and
// effects are idempotent. An old pair is retired only when the new one is
// whole in its store, in our keychain, and carries the traffic of every port;
// so there is no moment without a key that both ends have.
//
// A PSK of tunnels goes the same way, with a tunnel in the place of a port: its
// members have handshakes (WireGuard), or IKE_AUTH exchanges (IPsec), under it,
// from its not_before on, which is some time after it is written, so that both
// ends have it by then.
//
// One owner rotates a keychain in a vault: whose tag the newest pair carries.
// A pair without a tag is nobody's, and whoever writes the next owns it. Two
// that claim at once both see both pairs when they read back, and agree on the
// owner; the other gives way.
//
// # Events
//
// The timeline is a list of Events, in JSON one object each:
//
//	time        RFC 3339
//	elapsed_ms  since the rotation began
//	keychain    its name
//	port        the port that it is about; absent: the whole keychain
//	tunnel      of a keychain of PSKs: the tunnel that it is about
//	phase       see below
//	ckn         of the new pair, hex, once it is known
//	psk         of a keychain of PSKs: the id of the new one
//	pair        the id of the pair, or the PSK, that it is about
//	detail      for people
//	lost        in done and failed: what was lost, by counter, all of them;
//	            absent where nothing counts
//	error       in retrying and failed
//
// Phases: claimed, written, read_back, in_keychain; for each port
// participant_up, peer_live, moved (both ends encode under the new CKN) and
// settled (the old SAs are gone); for each tunnel peer_live (a member has had a
// handshake under the new PSK), moved and settled (all have); retired, for each old pair; and at last done
// or failed. Beside them: resumed, after a restart of the daemon or for one
// who follows a rotation that runs already; waiting, once for each cause;
// retrying, once for each error; unsecured and secured, when a port's state
// changes meanwhile. With a hold, or while the keys cannot be sealed, done comes
// before retired, which the daemon sees to.
package course
