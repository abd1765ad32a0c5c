// Package mka is the MACsec Key Agreement protocol (IEEE 802.1X-2020 clause
// 9) without IO: an Entity takes events, and answers with actions.
//
//	out = entity.Step(now, event, out[:0])
//	for each action: send it, carry it out on the SecY, log it, save it
//	wait until entity.Deadline(), or until something happens
//
// It reads no clock, holds no lock, starts no goroutine and logs nothing;
// randomness is the io.Reader of its Config. An instant is a time.Duration
// since any fixed origin, monotonic.
//
// One Entity is one port: one SecY, and a participant for every CAK that may
// be used now. All participants share the SecY's four ANs, which is what
// makes a change of CAK make-before-break. The rules:
//
//   - One table: AN -> key identifier, CKN, receive and transmit SAs.
//     Participants propose, the Entity installs, one change at a time, and
//     each change's result comes back as an event. "Receiving" and
//     "transmitting" are announced only after the SecY has said so.
//   - The Entity is level-triggered. An event only records what it brought;
//     settle then looks at all of the state and does what is due. A rekey that
//     cannot start yet is a condition that still holds, not an event that was
//     lost.
//   - What any member encodes with is in every live member's receive set. A
//     key server encodes when all live peers announce receive; the others when
//     it announces transmit; an old SA goes MKA's retire time after the last
//     live peer stopped using it.
//   - A new MI becomes a live peer only by listing our MI with a recent MN,
//     and only then does it displace the same SCI's older MI. That is one
//     round trip, since a new MI is answered at once, and a recorded MKPDU
//     of an earlier session cannot do it.
//   - A key identifier is installed once. A SAK that has been abandoned or
//     retired does not come back. Who has let go of a SAK that others may think
//     it has takes a new MI, and so is owed a fresh one.
//   - One SAK of ours is on its way at a time. One that a live peer does not
//     take is abandoned for the next KN and the next AN while anything else
//     carries traffic; the standard's transmit timeout is the last resort.
//   - After a restart, the adopted SAK carries traffic until every member that
//     had it is back, or the life time is over; then a fresh one replaces it.
//   - While a member has suspended MKA nothing changes that it would have to
//     know of: it stays live, no SAK is made, none is put in use that it has not
//     announced receive on, and none is retired.
//   - An announced receive is kept: an AN is not given to another SAK while a
//     live peer says that it receives or transmits with the one on it.
package mka
