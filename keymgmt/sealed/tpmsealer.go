package sealed

import (
	"errors"
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/sealed/tpm"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// tpmSealer is a TPM with this package's errors.
type tpmSealer struct{ t *tpm.TPM }

// TPM is the sealer that is a TPM 2.0 at device, as tpm.New has it; a Counting.
func TPM(device string, pcrs []int) Counting { return tpmSealer{tpm.New(device, pcrs)} }

func (s tpmSealer) Name() string { return WithTPM }

func (s tpmSealer) Seal(key *secret.Key) ([]byte, error) { return s.t.Seal(key) }

func (s tpmSealer) Unseal(blob []byte) (*secret.Key, error) {
	key, err := s.t.Unseal(blob)
	var e *tpm.Error
	switch {
	case err == nil:
		return key, nil
	case errors.As(err, &e) && e.Foreign:
		return nil, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrWithheld, err)
}

func (s tpmSealer) Counter(index uint32) Counter { return tpmCounter{s.t.Counter(index)} }

func (s tpmSealer) CounterFor(name string) (Counter, error) {
	c, err := s.t.CounterFor(name)
	if err != nil {
		return nil, err
	}
	return tpmCounter{c}, nil
}

type tpmCounter struct{ *tpm.Counter }

func (c tpmCounter) Value() (uint64, error) {
	n, err := c.Counter.Value()
	if errors.Is(err, tpm.ErrNoCounter) {
		err = fmt.Errorf("%w: %w", ErrNoCounter, err)
	}
	return n, err
}
