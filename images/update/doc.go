// Package update installs an update into the slot that does not run, and tells what
// became of it.
//
// All that can be judged is judged before anything is changed: the signature, that
// the image is of this machine and newer than what runs, that it fits, and every
// octet of the file. Then, each step on the disk before the next: the other slot's
// UKI goes, so that nothing boots what is about to be half written; the partitions
// are written and read back; the new UKI is written under a name that does not boot,
// read back, and renamed to one that is tried three times. The UKI that runs, and its
// slot, are never written. So a loss of power at any moment leaves what runs now, or
// all of what is new.
package update
