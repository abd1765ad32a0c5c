package sealed

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// WitnessName is the file in the state directory that has the newest
// generation, for sealers without a counter.
const WitnessName = "keys.generation"

// witness is a Counter in a file: decimal digits and a newline.
type witness struct{ d disk }

func (w witness) Index() uint32 { return 0 }

func (w witness) Value() (uint64, error) {
	b, err := w.d.read(WitnessName, 32)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w: %s is not there", ErrNoCounter, w.d.path(WitnessName))
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNoCounter, err)
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(string(b), "\n"), 10, 64)
	if err != nil || n > maxGeneration {
		return 0, fmt.Errorf("%w: %s is not a number", ErrNoCounter, w.d.path(WitnessName))
	}
	return n, nil
}

func (w witness) Define() (uint64, error) {
	n, err := w.Value()
	if errors.Is(err, ErrNoCounter) {
		return 0, nil
	}
	return n, err
}

func (w witness) Advance(to uint64) error {
	return replace(w.d, WitnessName, append(strconv.AppendUint(nil, to, 10), '\n'))
}

// judge tells why a file of generation g is refused by the value of its
// counter, or by the error of reading that; nil if it is not.
//
// A counter of the sealer is exact: it is as g or, after a crash, one behind.
// The witness is a file as the other is: where it is gone or behind, whoever
// did that could as well have written it, so that refusing would find nothing
// and lose keys.
func judge(g uint64, c Counter, value uint64, err error) *Refusal {
	exact := c.Index() != 0
	switch {
	case errors.Is(err, ErrNoCounter) && exact:
		return &Refusal{Kind: RolledBack, What: fmt.Sprintf("has generation %d, and the counter that would prove it the newest is gone", g), Err: err}
	case errors.Is(err, ErrNoCounter):
		return nil
	case err != nil:
		return &Refusal{Kind: Withheld, What: "cannot be proved the newest", Err: err}
	case g < value:
		return &Refusal{Kind: RolledBack, What: fmt.Sprintf("has generation %d, and %d has been written since: it is an old file", g, value)}
	case exact && g > value+1:
		return &Refusal{Kind: RolledBack, What: fmt.Sprintf("has generation %d, and its counter is at %d: it is not the one that it was written with", g, value)}
	}
	return nil
}
