package keyvault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// FaultKind is what is wrong with a vault, for a status and a metric.
type FaultKind string

// The kinds of faults.
const (
	Unreachable  FaultKind = "unreachable"  // no connection, no TLS, no answer in time
	Throttled    FaultKind = "throttled"    // 429
	Unauthorised FaultKind = "unauthorised" // 401, or the authority gives no token
	Forbidden    FaultKind = "forbidden"    // 403
	NotFound     FaultKind = "not_found"    // 404
	Conflict     FaultKind = "conflict"     // 409: deleted, and not purged yet
	ServerError  FaultKind = "server_error" // 5xx, and other statuses
	Malformed    FaultKind = "malformed"    // an answer that is none
	Lying        FaultKind = "lying"        // an answer that an honest vault does not give
	RefusedPair  FaultKind = "refused_pair" // a pair, version or value that is no key
	NoKeys       FaultKind = "no_keys"      // not one good pair
	Local        FaultKind = "local"        // this machine: a file, the environment, the helper
)

// Kinds are all of them.
func Kinds() []FaultKind {
	return []FaultKind{Unreachable, Throttled, Unauthorised, Forbidden, NotFound, Conflict, ServerError, Malformed, Lying, RefusedPair, NoKeys, Local}
}

// Fault is an error of a vault, or of the way there. Text names thing, cause
// and remedy, in one line, without anything that the vault holds.
type Fault struct {
	Kind FaultKind `json:"kind"`
	Text string    `json:"text"`
	// RetryAfter is how long the vault wants to be left alone; 0: it did not
	// say.
	RetryAfter time.Duration `json:"retry_after,omitempty"`

	code string // the vault's own, as SecretDisabled
}

func (f *Fault) Error() string { return f.Text }

// Later is RetryAfter, for whoever knows it as an error alone.
func (f *Fault) Later() time.Duration { return f.RetryAfter }

func faultf(kind FaultKind, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// asFault is err as a Fault. One that is none yet did not come from here, and
// what it says is not trusted to be without values.
func asFault(err error) *Fault {
	var f *Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return faultf(Unreachable, "the vault did not answer in time; look at the way there")
	case errors.Is(err, context.Canceled):
		return faultf(Local, "it was given up")
	}
	return faultf(Malformed, "an answer could not be used (%T)", err)
}
