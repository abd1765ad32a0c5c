package rotate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

// Store is where pairs are. An error that wraps course.ErrRefused says that
// nothing was changed.
type Store interface {
	// List has all pairs that may be used, now or later, and those of which
	// only a half may.
	List(context.Context) ([]course.Pair, error)
	// Write writes a pair of fresh random keys, or completes it, or finds it
	// whole: never a second one with the same ID. It has read back what it
	// returns.
	Write(context.Context, course.Order) (course.Pair, error)
	// Retire takes a pair out of use. One that is out of use already is
	// success.
	Retire(ctx context.Context, id string) error
}

// Journal keeps what a rotation must know after a restart.
type Journal interface {
	// Load returns what was saved last for a keychain; nil if nothing was.
	Load(keychain string) ([]byte, error)
	// Save has it on the disk, whole, when it returns.
	Save(keychain string, state []byte) error
}

// Chain is a keychain that may be rotated.
type Chain struct {
	Name  string
	Store Store
	// Place names the store among all: a journal of another is refused.
	Place string
	// Owner is what marks our pairs; empty where the store has no owners.
	Owner  string
	Octets int // of a CAK, or a PSK
	// PSK has the keychain be one of PSKs, which tunnels use; Text has new ones
	// be text.
	PSK, Text bool
	// Lead is how long after it is written a key that is asked for starts; one by
	// schedule starts as that says.
	Lead time.Duration
	// Hold is how long old pairs are kept when the traffic has moved.
	Hold time.Duration
	// Sweep retires every older pair; else those alone that carried traffic.
	Sweep bool
	// Schedule is nil where somebody else rotates.
	Schedule *course.Schedule
	// Same tells one configuration of the keychain from another: a Chain with
	// another Same is followed anew.
	Same any
}

// Options are what a Rotator works with. All are needed.
type Options struct {
	Journal Journal
	// Look tells what is seen of a keychain and of all ports that use it.
	Look func(keychain string) course.View
	// Poll has the keychain's own source look soon.
	Poll func(keychain string)
	Log  *slog.Logger
	Rand io.Reader
}

// The errors of Rotate, by errors.Is.
var (
	// ErrUnknown: there is no such keychain to be rotated.
	ErrUnknown = errors.New("no such keychain")
	// ErrOwned: somebody else rotates it.
	ErrOwned = errors.New("another owner")
	// ErrFailed: the rotation has failed; its last event has said why.
	ErrFailed = errors.New("the rotation has failed")
	// ErrStopped: the daemon ends, or the keychain's configuration changes. The
	// rotation goes on afterwards.
	ErrStopped = errors.New("linkseal stops, or reads its configuration anew; the rotation goes on afterwards: ask again")

	errBehind = errors.New("the events were not read as fast as they came; the rotation goes on: ask again")
)

// Rotator rotates keychains.
type Rotator struct {
	o Options

	mu      sync.Mutex
	ctx     context.Context // nil until Run
	chains  map[string]*chain
	tallies map[string]*tally // of all keychains that there ever were
	given   []Chain
	done    sync.WaitGroup
}

// New returns a Rotator of no keychain; Set gives it some, and Run runs it.
func New(o Options) *Rotator {
	return &Rotator{o: o, chains: map[string]*chain{}, tallies: map[string]*tally{}}
}

// Set tells which keychains there are: at the start, and after a reload. A
// rotation of one that is gone stops, and goes on if it comes back.
func (r *Rotator) Set(all []Chain) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.given = all
	if r.ctx != nil {
		r.follow()
	}
}

// follow has a goroutine for each keychain given, and none besides.
func (r *Rotator) follow() {
	given := map[string]Chain{}
	for _, c := range r.given {
		given[c.Name] = c
	}
	before := map[string]*chain{}
	for name, c := range r.chains {
		if n, ok := given[name]; !ok || n.Same != c.Same {
			c.stop()
			before[name] = c
			delete(r.chains, name)
		}
	}
	for name, g := range given {
		if r.chains[name] != nil {
			continue
		}
		ctx, stop := context.WithCancel(r.ctx)
		if r.tallies[name] == nil {
			r.tallies[name] = new(tally)
		}
		c := &chain{Chain: g, o: r.o, tally: r.tallies[name], log: r.o.Log.With("keychain", name), stop: stop, asked: make(chan request), ended: make(chan struct{}), over: ctx.Done()}
		r.chains[name] = c
		after := before[name]
		r.done.Add(1)
		go func() {
			defer r.done.Done()
			defer close(c.ended)
			if after != nil { // two never have one journal
				<-after.ended
			}
			c.run(ctx)
		}()
	}
}

// Run works until ctx ends. What is under way then goes on at the next Run.
func (r *Rotator) Run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer r.done.Wait()
	defer stop()
	r.mu.Lock()
	r.ctx = ctx
	r.follow()
	r.mu.Unlock()
	<-ctx.Done()
	// No goroutine begins after this.
	r.mu.Lock()
	r.ctx, r.given, r.chains = nil, nil, map[string]*chain{}
	r.mu.Unlock()
}

// Rotate begins a rotation of a keychain, or follows the one that runs, and
// gives its events to emit until the traffic has moved. It returns nil if that
// went well; it returns early, and the rotation goes on, if ctx ends or emit
// fails. An error before the first event is ErrUnknown, ErrOwned or ErrStopped.
func (r *Rotator) Rotate(ctx context.Context, keychain string, emit func(course.Event) error) error {
	r.mu.Lock()
	c := r.chains[keychain]
	names := slices.Sorted(maps.Keys(r.chains))
	r.mu.Unlock()
	if c == nil {
		return fmt.Errorf("%w: %s; those that ports and tunnels use are %v", ErrUnknown, keychain, names)
	}
	f := &follower{events: make(chan course.Event, maxEvents)}
	select {
	case c.asked <- request{f}:
	case <-c.over:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	defer c.leave(f)
	first := true
	for {
		select {
		case e, ok := <-f.events:
			if !ok && !c.stopped() {
				return errBehind
			}
			if !ok {
				return ErrStopped
			}
			if first && e.Phase == course.Failed && f.owned {
				return fmt.Errorf("%w: %s", ErrOwned, e.Error)
			}
			if first = false; emit != nil {
				if err := emit(e); err != nil {
					return err
				}
			}
			switch e.Phase {
			case course.Done:
				return nil
			case course.Failed:
				return fmt.Errorf("%w: %s", ErrFailed, e.Error)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Report is what status tells of a keychain's rotation.
type Report struct {
	Keychain string `json:"keychain"`
	// Phase that was reached last; empty: none is under way.
	Phase course.Phase `json:"phase,omitempty"`
	CKN   string       `json:"ckn,omitempty"`
	PSK   string       `json:"psk,omitempty"`   // its id
	Since *time.Time   `json:"since,omitempty"` // when it began
	// RetireAt is when the old pairs are retired, if nothing comes between.
	RetireAt *time.Time `json:"retire_at,omitempty"`
	// Next is when the next pair is written by schedule.
	Next *time.Time `json:"next,omitempty"`
	// Error is what is wrong with it now: an alarm.
	Error string `json:"error,omitempty"`
}

// Reports of all keychains that a schedule or a rotation is about, in order of
// their names.
func (r *Rotator) Reports() []Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Report
	for _, name := range slices.Sorted(maps.Keys(r.chains)) {
		if p, ok := r.chains[name].told(); ok {
			all = append(all, p)
		}
	}
	return all
}
