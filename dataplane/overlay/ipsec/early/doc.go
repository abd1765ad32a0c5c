// Package early catches packets of ESP that come before the SA they belong to,
// and hands them to the machine again when it is there.
//
// When an IKE_SA is made anew, its responder sends under the new SA as soon as it
// has sent the last IKE message, and the initiator has that SA only when it has
// taken that message apart: what comes between is dropped, some packets at a
// thousand a second. The new keys of a CHILD_SA have no such gap (RFC 7296 2.8),
// IKE_AUTH has. So the initiator listens on the underlay meanwhile, keeps what
// has an SPI that it does not know, and sends it to its own address over the
// loopback when the SPI is known. Twice is no harm: that is what the replay window
// is for. What it keeps is ciphertext.
package early
