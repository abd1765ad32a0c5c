// Package softsecy is 802.1AE-2018 in user space: a SecY (clause 10), and the
// codec of its frames, which stands alone too: the SecTAG (clause 9), and
// protection and validation under the four GCM-AES suites (clause 14).
//
// A SecY has two sides. The KaY's changes its SAs, through the methods that
// package kay asks for; the frames' is a Transmitter or a Receiver for each
// goroutine that handles frames. What a frame needs to know is in one
// immutable value that a change replaces: a frame is handled before the change
// or after it, takes no lock and waits for nobody.
//
// The package is pure: no IO, no clock, and a frame costs no allocation.
package softsecy
