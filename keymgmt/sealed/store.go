package sealed

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Slots are the files in the state directory that have the last two
// generations.
var Slots = [2]string{"keys.sealed.0", "keys.sealed.1"}

// ErrEmpty is the error of a Load where nothing was ever saved.
var ErrEmpty = errors.New("no sealed keys")

// Store keeps contents sealed. It may be used by several goroutines, and its
// directory by several processes.
type Store struct {
	d      disk
	name   string // of the store, for a counter
	sealer Sealer

	mu      sync.Mutex
	refused Refused
}

// Open returns the store in a state directory, which is made if it is not
// there, mode 0700. It reads nothing.
func Open(dir string, s Sealer) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(abs, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("sealed keys: state directory: %w", err)
	}
	return &Store{d: directory{dir: abs}, name: abs, sealer: s}, nil
}

// Sealer is the one that the store was opened with.
func (s *Store) Sealer() Sealer { return s.sealer }

// Refused are the files that the last Load refused, also where it took
// another one.
func (s *Store) Refused() []*Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// slot is a file that is there.
type slot struct {
	name      string
	head      header
	aad, text []byte
	err       *Refusal // the file cannot be taken, whatever is in it
}

// survey reads both files, those that are refused first, then the greater
// generation.
func survey(d disk) (slots []slot) {
	for _, name := range Slots {
		data, err := d.read(name, maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		at := slot{name: name}
		if err == nil {
			at.head, at.aad, at.text, err = parse(data)
		}
		var access *accessError
		switch {
		case err == nil:
		case errors.As(err, &access):
			at.err = &Refusal{Kind: Access, What: access.what + "; accepted: " + access.accepted}
		case !errors.As(err, &at.err):
			at.err = &Refusal{Kind: Access, What: "cannot be read", Err: err}
		}
		if at.err != nil {
			at.err.File = d.path(name)
		}
		slots = append(slots, at)
	}
	slices.SortStableFunc(slots, func(a, b slot) int {
		if (a.err != nil) != (b.err != nil) {
			if a.err != nil {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.head.generation, a.head.generation)
	})
	return slots
}

// Load returns the newest contents that are whole, ours and not rolled back;
// the caller zeroes them. The error is ErrEmpty where nothing is stored, a
// Refused where nothing of it is accepted. A crash of Save leaves the contents
// before it or those that it was given, and Load finishes what it began.
func (s *Store) Load() (Contents, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = nil
	unlock, err := s.d.lock()
	if err != nil {
		return Contents{}, fmt.Errorf("sealed keys: %w", err)
	}
	defer unlock()
	slots := survey(s.d)
	if len(slots) == 0 {
		return Contents{}, fmt.Errorf("%w in %s", ErrEmpty, s.d.path(""))
	}
	var taken *slot
	var out Contents
	for i := range slots {
		at := &slots[i]
		if taken != nil && at.err == nil {
			continue // the former generation
		}
		c, err := s.take(at)
		if err != nil {
			err.File = s.d.path(at.name)
			s.refused = append(s.refused, err)
			continue
		}
		taken, out = at, c
	}
	if taken == nil {
		return Contents{}, slices.Clone(s.refused)
	}
	return out, nil
}

// take opens one file, and brings the counter to its generation.
func (s *Store) take(at *slot) (Contents, *Refusal) {
	if at.err != nil {
		return Contents{}, at.err
	}
	counter, refusal := s.counterOf(at.head)
	if refusal != nil {
		return Contents{}, refusal
	}
	value, err := counter.Value()
	if r := judge(at.head.generation, counter, value, err); r != nil {
		return Contents{}, r
	}
	c, unwrapErr := unwrap(at.head, at.aad, at.text, s.sealer)
	if unwrapErr != nil {
		r := &Refusal{Kind: Withheld, What: "cannot be opened", Err: unwrapErr}
		errors.As(unwrapErr, &r)
		return Contents{}, r
	}
	if err != nil || value < at.head.generation {
		// Where this fails the file is as good, and the next Save does it.
		_ = s.finish(counter, at.head.generation)
	}
	return c, nil
}

// finish does what a Save that ended between file and counter did not: the
// counter must not be ahead of what is durable.
func (s *Store) finish(c Counter, generation uint64) error {
	if err := s.d.sync(); err != nil {
		return err
	}
	return c.Advance(generation)
}

// counterOf is the counter that a file was written with.
func (s *Store) counterOf(h header) (Counter, *Refusal) {
	if h.sealer != s.sealer.Name() {
		return nil, &Refusal{Kind: Foreign, What: fmt.Sprintf("is sealed with: %s, and keys are now sealed with: %s", h.sealer, s.sealer.Name())}
	}
	counting, ok := s.sealer.(Counting)
	switch {
	case ok && h.counter != 0:
		return counting.Counter(h.counter), nil
	case !ok && h.counter == 0:
		return witness{s.d}, nil
	}
	return nil, &Refusal{Kind: Changed, What: fmt.Sprintf("is sealed with: %s, and names counter %#x", h.sealer, h.counter)}
}

// Save replaces what is kept: durable when it returns nil. After an error the
// next Load has what was there before or c. It opens what it has sealed
// before it writes. c stays the caller's.
//
// With a TPM a Save takes a second and one increment of a counter in memory
// that wears (some TPMs: 100,000 writes): not more often than keys change or
// an hour goes.
func (s *Store) Save(c Contents) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.save(c); err != nil {
		return fmt.Errorf("save sealed keys in %s: %w", s.d.path(""), err)
	}
	return nil
}

func (s *Store) save(c Contents) error {
	unlock, err := s.d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	slots := survey(s.d)
	counter, keep, last, err := s.ready(slots)
	if err != nil {
		return err
	}
	h := header{generation: last + 1, time: c.Time, counter: counter.Index(), sealer: s.sealer.Name()}
	data, err := wrap(h, c, s.sealer)
	if err != nil {
		return err
	}
	if err := s.verify(data); err != nil {
		return err
	}
	name := victim(keep)
	if err := replace(s.d, name, data); err != nil {
		return err
	}
	// From here on the new generation is safe. A crash before the counter has
	// advanced leaves one that is ahead of it, which Load accepts.
	if err := counter.Advance(h.generation); err != nil {
		return fmt.Errorf("the keys are saved; the counter that proves them the newest is not advanced: %w", err)
	}
	return s.tidy(slots, name)
}

// tidy removes what another sealer sealed, now that the file named new is
// safe: keys that are sealed to a TPM must not lie beside a key file that opens
// them.
func (s *Store) tidy(slots []slot, new string) error {
	for _, at := range slots {
		if at.err != nil || at.head.sealer == s.sealer.Name() || at.name == new {
			continue
		}
		if err := errors.Join(s.d.remove(at.name), s.d.sync()); err != nil {
			return fmt.Errorf("the keys are saved; %s, sealed with: %s, is not removed: %w", s.d.path(at.name), at.head.sealer, err)
		}
	}
	return nil
}

// ready finds the counter to go on with, the file that Load would take now,
// nil if none, and the generation that the next one follows. A Save that ended
// before its counter had advanced is finished.
func (s *Store) ready(slots []slot) (counter Counter, keep *slot, last uint64, err error) {
	for i := range slots {
		at := &slots[i]
		if at.err != nil {
			continue
		}
		c, refusal := s.counterOf(at.head)
		if refusal != nil {
			continue
		}
		value, err := c.Value()
		if err != nil && !errors.Is(err, ErrNoCounter) {
			return nil, nil, 0, err
		}
		if judge(at.head.generation, c, value, err) != nil {
			// Refused; its counter is as good as ever.
			if err == nil && counter == nil {
				counter, last = c, value
			}
			continue
		}
		if value < at.head.generation {
			if err := s.finish(c, at.head.generation); err != nil {
				return nil, nil, 0, err
			}
		}
		return c, at, at.head.generation, nil
	}
	if counter == nil {
		if counting, ok := s.sealer.(Counting); ok {
			counter, err = counting.CounterFor(s.name)
		} else {
			counter = witness{s.d}
		}
		if err == nil {
			last, err = counter.Define()
		}
	}
	if err == nil && last >= maxGeneration {
		err = fmt.Errorf("generation %d is the last; remove %s", last, s.d.path(WitnessName))
	}
	return counter, nil, last, err
}

// victim is the file to write over: the one that is not kept.
func victim(keep *slot) string {
	if keep != nil && keep.name == Slots[0] {
		return Slots[1]
	}
	return Slots[0]
}

// verify opens what is about to be written: a sealer that cannot open what it
// sealed must not take the place of one that could.
func (s *Store) verify(data []byte) error {
	h, aad, text, err := parse(data)
	if err != nil {
		return err
	}
	c, err := unwrap(h, aad, text, s.sealer)
	if err != nil {
		return fmt.Errorf("what was just sealed with the %s: %w", s.sealer.Name(), err)
	}
	c.Zero()
	return nil
}
