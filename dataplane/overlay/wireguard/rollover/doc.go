// Package rollover decides which preshared key a WireGuard peer has at each
// moment, so that a change of it loses nothing, however far apart the two ends
// make it. It is told the time and the handshakes, and reads nothing itself.
//
// # What WireGuard does
//
// A PSK is mixed into a handshake by its second message, and a session that is
// up does not look at it again: to replace it costs nothing. A session lasts
// for 180 s. From 120 s on its initiator begins a new handshake with what it
// sends, and again every 5.0 to 5.3 s. While the ends have different PSKs every
// handshake fails; what must not happen is that they differ for so long that
// the session ends.
//
// # The rules
//
// Settled: the peer has the PSK under which its last handshake was made.
//
// Turning: another PSK is preferred, and is put in at once. Where a handshake
// can be forced it is. The first one that was surely made under it ends the
// turn. The other end may be up to 50 s later: its session is 120 s old at the
// most by then.
//
// Holding: 50 s of forced handshakes have failed, or one was made under the old
// PSK meanwhile: the other end is not there yet. The old PSK is put back, and a
// handshake under it makes the session fresh. From now on a second device of
// this end, on a port of its own, calls the other end's under the new PSK; that
// end opens its own as soon as it turns. A handshake there says that both have
// the new PSK, at the same moment to within a round trip: both turn. Traffic
// does not move: its session outlives the change as in any turn. And each time
// that the session is between 110 and 122 s old both ends try the new PSK for
// one or two handshakes, which finds an end that has no second device.
//
// A session that is older than 135 s has failed to be renewed. Both ends know
// its age, to within a round trip, and go by it: from 135 s on each has the PSK
// that it prefers most, from 150 s the one before, from 165 s the first again; an
// end that is settled stays, and tries another in the last 15 s. So they meet also where one end is no linkseal, or the second port is
// closed, and at worst a change takes as long as a session does.
//
// With no session the PSKs that may be used take turns. The end with the lesser
// public key, which leads, changes faster: in the time that the other keeps one
// it has had each.
//
// A PSK that has left the keychain, or none where a keychain is new, is not put
// back: its session lasts its 180 s, in which the other end has to come, and no
// handshake is made under it.
//
// Handshakes are begun by the leader, and by the other end only if nothing comes
// of that: two that cross in flight void each other, and what is under way under
// the session before is lost. For the same reason a failed one is not repeated
// before WireGuard's own 5 s.
package rollover
