package sealed

import (
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/secret"
)

// chip is a Counting sealer whose counters are steps of a disk's time. Its
// wrapping hides nothing.
type chip struct {
	d        *memory
	id       byte
	counters map[uint32]uint64
	greatest uint64
	closed   bool
}

func newChip(d *memory, id byte) *chip {
	return &chip{d: d, id: id, counters: map[uint32]uint64{}, greatest: 40}
}

// beside is the chip as it is now, beside another disk.
func (c *chip) beside(d *memory) *chip {
	n := newChip(d, c.id)
	n.greatest = c.greatest
	for i, v := range c.counters {
		n.counters[i] = v
	}
	return n
}

func (c *chip) Name() string { return WithTPM }

func (c *chip) Seal(key *secret.Key) ([]byte, error) {
	if c.closed {
		return nil, errBroken
	}
	b := []byte{c.id}
	for _, o := range key.Bytes() {
		b = append(b, o^c.id)
	}
	return b, nil
}

func (c *chip) Unseal(blob []byte) (*secret.Key, error) {
	if c.closed {
		return nil, fmt.Errorf("%w: %w", ErrWithheld, errBroken)
	}
	if len(blob) != 33 || blob[0] != c.id {
		return nil, ErrForeign
	}
	var b []byte
	for _, o := range blob[1:] {
		b = append(b, o^c.id)
	}
	return secret.New(b), nil
}

func (c *chip) Counter(index uint32) Counter { return chipCounter{c, index} }

func (c *chip) CounterFor(string) (Counter, error) { return c.Counter(7), nil }

type chipCounter struct {
	*chip
	index uint32
}

func (c chipCounter) Index() uint32 { return c.index }

func (c chipCounter) Value() (uint64, error) {
	n, ok := c.counters[c.index]
	if !ok {
		return 0, ErrNoCounter
	}
	return n, nil
}

func (c chipCounter) Define() (uint64, error) {
	if _, ok := c.counters[c.index]; !ok {
		if err := c.d.step(); err != nil {
			return 0, err
		}
		// As a TPM does, past what was there before.
		c.greatest++
		c.counters[c.index] = c.greatest
	}
	return c.counters[c.index], nil
}

func (c chipCounter) Advance(to uint64) error {
	if n := c.counters[c.index]; to < n || to > n+1 {
		return fmt.Errorf("from %d to %d", n, to)
	}
	if err := c.d.step(); err != nil {
		return err
	}
	c.counters[c.index], c.greatest = to, max(c.greatest, to)
	return nil
}
