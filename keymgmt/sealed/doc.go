// Package sealed keeps the last good keys of every source, encrypted at rest,
// so that an appliance boots and secures its link with no vault in reach.
//
// The state directory has two files, keys.sealed.0 and keys.sealed.1, of which
// a Save replaces the one that Load would not take: whatever ends it, the
// other is whole. Each is AES-256-GCM under a data key of its own, and that is
// wrapped by a Sealer: a TPM 2.0, a systemd credential, or a key file beside
// it. What the last is worth is the disk's: who copies it whole has the keys.
//
// # An old file
//
// A key that was retired must not come back with an old file. Each file has a
// generation; Load refuses those before the newest.
//
//   - With a TPM the newest is what a counter in its NV memory says. Save
//     writes generation counter + 1, durably, then counts up: after a crash in
//     between the file is one ahead, which Load accepts and makes up for. This
//     finds every old file, be it that the whole disk is an old one.
//   - Else it is what the file keys.generation says. This finds that a sealed
//     file alone was restored; not that the whole disk or directory was, nor
//     anything by someone who writes that file too.
//
// Where the newest file is damaged the former is therefore refused, too. It is
// there for a Save that does not end. It stays until the Save after: a key
// that has left its source is in it, sealed, until then.
//
// # Memory
//
// The plaintext and the data key are zeroed after use; all that has to do with
// them runs inside erase.Do.
package sealed
