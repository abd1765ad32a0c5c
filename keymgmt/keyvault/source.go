package keyvault

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// fetchTime bounds one fetch: a slow vault is waited for, but not for ever.
const fetchTime = 2 * time.Minute

// ErrNone is that of Load while nothing is known yet. What the vault says
// meanwhile is in the log and in the Report.
var ErrNone = errors.New("the vault has given no key yet")

// Source polls a vault and has the last good keychain, in memory. What goes
// wrong with the vault changes nothing of it, is logged once when it begins
// and once when it ends, and stands in the Report meanwhile.
type Source struct {
	name  string
	vault Vault
	log   *slog.Logger
	soon  chan struct{}

	mu     sync.Mutex
	state  *state
	faults faults
	report Report
	pace   pace
	hold   time.Time // no poll before it
}

// NewSource is the source of the keychain name, out of v, asked once in poll
// (and a tenth more or less). Nothing is asked before Watch.
func NewSource(name string, poll time.Duration, v Vault, log *slog.Logger) *Source {
	return &Source{
		name: name, vault: v, log: log.With("keychain", name), soon: make(chan struct{}, 1),
		state: newState("keychain " + name), pace: pace{poll: max(poll, gap)},
		report: Report{Begun: map[FaultKind]uint64{}},
	}
}

// Restore has a keychain of an earlier run in use until the vault answers: the
// sealed one. Versions that it names are held against the vault's. c stays the
// caller's. Call it before Watch; after, it does nothing once the vault has
// given keys.
func (s *Source) Restore(c *keychain.Keychain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.chain != nil {
		return
	}
	s.state.restore(c)
	s.report.Restored, s.report.Keys = true, c.Len()
}

// Load is the last good keychain, or ErrNone. The caller owns it, and zeroes
// it.
func (s *Source) Load() (*keychain.Keychain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.chain == nil {
		return nil, ErrNone
	}
	return s.state.chain.Clone(), nil
}

// Watch starts to poll, at once, and sends a token whenever the keychain has
// changed; one token stands for any number of changes. When ctx ends the
// channel closes, and all that the source holds is zeroed. Call it once.
func (s *Source) Watch(ctx context.Context) <-chan struct{} {
	out := make(chan struct{}, 1)
	go s.run(ctx, out)
	return out
}

// Poll has the vault asked soon, out of turn: as soon as a vault that wants to
// be left alone lets it.
func (s *Source) Poll() {
	select {
	case s.soon <- struct{}{}:
	default: // it is to be asked already
	}
}

// Report is how the source stands.
func (s *Source) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.report
	r.Faults, r.Refused, r.Begun = s.faults.lasting(), slices.Clone(r.Refused), maps.Clone(r.Begun)
	return r
}

func (s *Source) run(ctx context.Context, out chan<- struct{}) {
	defer close(out)
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.state.zero()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.soon:
			if wait := time.Until(s.hold); wait > 0 {
				s.wait(timer, wait)
				continue
			}
		}
		fetch, cancel := context.WithTimeout(ctx, fetchTime)
		a, err := s.vault.Fetch(fetch, s.request())
		cancel()
		if ctx.Err() != nil {
			a.Zero()
			return
		}
		fault, changed := s.take(a, err)
		if changed {
			select {
			case out <- struct{}{}:
			default: // one is waiting to be taken
			}
		}
		wait, hold := s.pace.next(fault, rand.Float64())
		s.hold = time.Now().Add(hold)
		s.wait(timer, wait)
	}
}

func (s *Source) wait(t *time.Timer, d time.Duration) {
	t.Reset(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Next = time.Now().Add(d).UTC()
}

func (s *Source) request() Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Request{Have: s.state.have(), Now: time.Now().UTC()}
}

// take takes what a fetch gave. fault is what the next one has to wait for.
func (s *Source) take(a *Answer, err error) (fault *Fault, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC()
	s.report.LastPoll = now
	s.report.Polls++
	fault = asFault(err)
	if err == nil {
		var refused []Refused
		changed, refused, fault = s.state.take(a, now)
		if fault == nil {
			s.report.Restored = false
		}
		if a.Fault != nil {
			fault = a.Fault
		}
		s.report.Refused = refused
		begun, ended := s.faults.listed(now, refused)
		s.begin(begun)
		s.end(now, ended)
	}
	s.report.Keys = 0
	if s.state.chain != nil {
		s.report.Keys = s.state.chain.Len()
	}
	if fault != nil {
		s.report.Failures++
		s.begin(s.faults.failed(now, fault))
		return fault, changed
	}
	s.report.LastSuccess = now
	s.end(now, s.faults.succeeded())
	return nil, changed
}

// begin tells of faults that began, and what is in use meanwhile.
func (s *Source) begin(faults []FaultStatus) {
	for _, f := range faults {
		s.report.Begun[f.Kind]++
		if s.state.chain == nil {
			s.log.Error("vault: there is no key yet", "fault", f.Kind, "error", f.Text)
			continue
		}
		s.log.Warn("vault: the last good keys stay in use", "fault", f.Kind, "error", f.Text, "keys", s.state.chain.Len())
	}
}

func (s *Source) end(now time.Time, faults []FaultStatus) {
	for _, f := range faults {
		s.log.Info("vault: the fault is over", "fault", f.Kind, "was", f.Text, "lasted", now.Sub(f.Since).Round(time.Second), "polls", f.Polls)
	}
}
