// Package rotate rotates the keys of keychains: it drives the course of a
// rotation (package course) with a store of pairs (a vault, or a key file), a
// journal in the state directory, and a look at the ports.
//
// One goroutine a keychain: it goes on with what the journal says was under
// way, begins what is asked for (Rotate) or what its schedule says, and sees
// to the old pairs when the hold is over. Rotations of one keychain are one at
// a time; who asks for one while one runs follows that.
package rotate
