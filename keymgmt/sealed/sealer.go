package sealed

import (
	"errors"

	"github.com/linkseal/linkseal/keymgmt/secret"
)

// The names of sealers, as in the configuration and in a file's header.
const (
	WithTPM        = "tpm"
	WithCredential = "credential"
	WithFile       = "file"
)

// Sealer wraps a data key so that only this machine, or who has the sealer's
// own key, unwraps it. Blobs are not secret.
type Sealer interface {
	// Name is one of WithTPM, WithCredential and WithFile.
	Name() string
	// Seal wraps 32 octets. The key stays the caller's.
	Seal(key *secret.Key) (blob []byte, err error)
	// Unseal is the inverse; the caller zeroes the key. The error is
	// ErrForeign, wrapped, if the blob was made with another key or machine,
	// and ErrWithheld if the sealer will not or cannot unwrap it now.
	Unseal(blob []byte) (*secret.Key, error)
}

// Counting is a Sealer that has monotonic counters. The files of one that has
// none are held to a witness file.
type Counting interface {
	Sealer
	// Counter is the one that a header names.
	Counter(index uint32) Counter
	// CounterFor picks one for a store that has none yet, named by its
	// directory: the same again for the same name. It need not be there yet.
	CounterFor(name string) (Counter, error)
}

// Counter is a number that does not go back. A file whose generation is less
// is rolled back. One that is greater by one was written before a crash, and
// the counter is advanced to it.
type Counter interface {
	// Index names it in a header; 0 is the witness file.
	Index() uint32
	// Value reads it. The error is ErrNoCounter, wrapped, if it is not there.
	Value() (uint64, error)
	// Define makes it if it is not there, and reads it.
	Define() (uint64, error)
	// Advance brings it to a value that is not less than its own.
	Advance(to uint64) error
}

var (
	// ErrForeign is a blob that another machine or another key sealed.
	ErrForeign = errors.New("sealed elsewhere")
	// ErrWithheld is a blob that the sealer has the key for, or may have, and
	// does not unwrap now.
	ErrWithheld = errors.New("withheld")
	// ErrNoCounter is a counter that is not there.
	ErrNoCounter = errors.New("no such counter")
)
