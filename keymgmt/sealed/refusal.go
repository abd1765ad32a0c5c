package sealed

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is why a file is refused.
type Kind uint8

const (
	// Torn is a file that was not written whole, or is not one of ours.
	Torn Kind = iota + 1
	// Version is a format that this release does not know.
	Version
	// Access is a wrong owner or mode, or a file that cannot be read.
	Access
	// Foreign is a file that another machine, TPM or key sealed.
	Foreign
	// RolledBack is an old file in the place of a newer one.
	RolledBack
	// Changed is a file that does not authenticate.
	Changed
	// Withheld is a file that the sealer does not open now: PCRs have
	// changed, the TPM is away or locked.
	Withheld
)

func (k Kind) String() string {
	switch k {
	case Torn:
		return "torn"
	case Version:
		return "version"
	case Access:
		return "access"
	case Foreign:
		return "foreign"
	case RolledBack:
		return "rolled back"
	case Changed:
		return "changed"
	case Withheld:
		return "withheld"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// MarshalText is the kind in snake_case.
func (k Kind) MarshalText() ([]byte, error) {
	return []byte(strings.ReplaceAll(k.String(), " ", "_")), nil
}

// Refusal is one file that Load did not take.
type Refusal struct {
	Kind Kind
	File string // path
	What string // a predicate of the file
	Err  error  // further cause, or nil
}

func (r *Refusal) Error() string {
	text := r.File + " " + r.What
	if r.File == "" {
		text = "it " + r.What
	}
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	return text
}

func (r *Refusal) Unwrap() error { return r.Err }

// Refused is the error of a Load that found files and took none.
type Refused []*Refusal

func (r Refused) Error() string {
	var parts []string
	for _, f := range r {
		parts = append(parts, f.Error())
	}
	return "sealed keys are refused: " + strings.Join(parts, "; ") + "; they are written anew when the sources of keys answer"
}

func (r Refused) Unwrap() (errs []error) {
	for _, f := range r {
		errs = append(errs, f)
	}
	return errs
}

// refusalOf is what a sealer's error means for the file.
func refusalOf(err error) *Refusal {
	if errors.Is(err, ErrForeign) {
		return &Refusal{Kind: Foreign, What: "is another's", Err: err}
	}
	return &Refusal{Kind: Withheld, What: "cannot be opened now", Err: err}
}
