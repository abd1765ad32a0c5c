// Package tpm seals data keys to a TPM 2.0 and keeps counters in it (TCG TPM
// 2.0 Library, parts 1 to 3).
//
// A data key becomes a sealed object under a storage primary of the owner
// hierarchy, from the TCG's template for an ECC P-256 storage root key, which
// the TPM derives anew each time: nothing stays in it but a counter. The
// commands that carry the key are encrypted in a session salted to that
// primary, so that who listens on the TPM's bus does not see it; the primary
// that a key was sealed under is remembered, so that Unseal does not talk to
// another. Who changes what goes over the bus, at the time of sealing, is not
// held off. Parameters and wrapping are AES-128, as TPMs have it.
//
// With PCRs the object also has the policy that they are as they were when it
// was sealed (TPM2_PolicyPCR, SHA-256 bank).
//
// An operation is waited for until a deadline (TPM.Patience), since drivers and
// TPMs have hung for good. What hangs is left to itself: until it has ended every
// operation on that device fails at once (ErrHangs).
//
// What the TPM's library leaves behind in this process, buffers of commands
// with a key in them, is the garbage collector's: package sealed calls inside
// erase.Do.
package tpm
