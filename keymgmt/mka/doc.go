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
//     retired does not come back.
package mka
