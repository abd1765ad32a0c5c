package course

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

const (
	// lookOften is how often the ports are looked at while things happen at
	// the pace of MKA, lookSeldom after that has gone on for eager.
	lookOften, lookSeldom = 50 * time.Millisecond, time.Second
	eager                 = 15 * time.Second
	// lookHolding is how often while the old pairs are held.
	lookHolding = 10 * time.Second
	// patience is how long a port is waited for before that is told.
	patience = 10 * time.Second
	// askSource is how often our own source is asked for a pair that it has
	// not got yet, askStore how often the store whether the pair is still
	// there, and whose the keychain is.
	askSource, askStore = time.Minute, 10 * time.Minute
	// The wait after a failure doubles from the first to the second.
	firstRetry, lastRetry = time.Second, 5 * time.Minute
	// maxMisses is how often a pair that was written may be missing when it
	// is read back.
	maxMisses = 5
	// maxTold bounds the reports of a port that is secured and unsecured.
	maxTold = 20
)

// ErrRefused says of a request to a store that it was refused, or failed
// before it did anything: it has changed nothing.
var ErrRefused = errors.New("refused")

// Later is an error of a store that wants to be left alone for some time.
type Later interface {
	error
	Later() time.Duration
}

// Wait is how long to wait after err: wait, or as long as the store wants.
func Wait(err error, wait time.Duration) time.Duration {
	if l := Later(nil); errors.As(err, &l) {
		return max(wait, l.Later())
	}
	return wait
}

// Plan is a rotation that is to begin.
type Plan struct {
	Keychain string
	Store    string // where the pairs are, of all stores
	Cause    string // Asked or Scheduled
	ID       string // of the pair: 32 hex digits, random
	Owner    string // empty: the store has no owners
	Octets   int    // of the CAK, or the PSK
	PSK      bool
	Text     bool // of a PSK: written as text
	// Window of the pair. A zero NotBefore is Lead after the claim, and
	// Expires then Life after it; a zero Life: never.
	Window     keychain.Window
	Lead, Life time.Duration
	Hold       time.Duration
	Sweep      bool
	// Old pairs that an earlier rotation has left to be retired.
	Old []string
}

// Kind says what is to be done.
type Kind uint8

// What a Course asks for.
const (
	Look   Kind = iota // wait for After, then take a View
	Save               // put State into the journal
	List               // list the store's pairs
	Write              // write the pair Order, or complete it
	Poll               // have our own source look soon
	Retire             // take the pair ID out of use
	End                // nothing: it has ended
)

func (k Kind) String() string {
	return [...]string{"look", "save", "list", "write", "poll", "retire", "end"}[k]
}

// Do is the next thing to be done.
type Do struct {
	Kind  Kind
	After time.Duration
	ID    string
}

// Result is what became of it: View of Look, Pairs of List, Pair of Write.
type Result struct {
	Err   error
	View  View
	Pairs []Pair
	Pair  Pair
}

// Course is one rotation under way. It is not safe for concurrent use.
type Course struct {
	State
	window     keychain.Window // as planned
	lead, life time.Duration

	view    View
	looked  bool
	dirty   bool // State differs from the journal
	resumed bool // after a restart, and the store has not been asked yet
	doubt   error
	misses  int

	retryAt, saveAt, askAt, pollAt time.Time
	backoff                        time.Duration
	sweepNow                       bool // the hold is over

	phaseAt time.Time // when Reached last moved, in this process
	ports   map[string]*seen
	told    map[string]bool
	flaps   int
	hadKey  bool
}

// seen is what has been told of a port.
type seen struct {
	reached Phase
	since   time.Time
	secured bool
	known   bool
}

// Begin starts a rotation.
func Begin(now time.Time, p Plan) *Course {
	now = plain(now)
	c := start(now, State{
		Version: version, Keychain: p.Keychain, Store: p.Store, Cause: p.Cause, Hold: p.Hold, Sweep: p.Sweep, Old: p.Old,
		Order:   Order{ID: p.ID, Owner: p.Owner, Octets: p.Octets, PSK: p.PSK, Text: p.Text},
		Started: now, Times: map[Phase]time.Time{}, Lost: noLoss(p.PSK), Counted: map[string]map[string]uint64{},
	})
	c.window, c.lead, c.life = p.Window, p.Lead, p.Life
	return c
}

// Resume goes on with a rotation whose journal says s.
func Resume(now time.Time, s *State) *Course {
	c := start(plain(now), *s)
	// Whether the old pairs may go is looked at again, and which are left.
	c.resumed, c.Retiring = true, false
	return c
}

func start(now time.Time, s State) *Course {
	return &Course{State: s, phaseAt: now, ports: map[string]*seen{}, told: map[string]bool{}}
}

// plain is t without its monotonic reading: it is compared with what was kept.
func plain(t time.Time) time.Time { return t.Round(0).UTC() }

// Settled tells that traffic has moved and only the old pairs are left to be
// retired: another rotation may take that over.
func (c *Course) Settled() bool { return c.Outcome == Done }

// Waits tells that the pair is in its store and nothing is under way there: the
// next by schedule may follow it, and takes the old pairs over.
func (c *Course) Waits() bool {
	return c.Settled() || c.Outcome == "" && !c.Reached.before(ReadBack) && !c.Retiring && c.GivesWay == ""
}

// Keep has the journal written again.
func (c *Course) Keep() { c.dirty = true }

// Next says what is to be done now.
func (c *Course) Next(now time.Time) Do {
	now = plain(now)
	switch {
	case now.Before(c.retryAt):
		return Do{Kind: Look, After: c.retryAt.Sub(now)}
	case c.dirty && (c.mustSave() || !now.Before(c.saveAt)):
		return Do{Kind: Save}
	case c.Ended():
		return Do{Kind: End}
	case c.GivesWay != "":
		return Do{Kind: Retire, ID: c.Order.ID}
	}
	switch c.Reached {
	case None:
		if !c.looked {
			return Do{Kind: Look, After: c.wakes(now)}
		}
		return Do{Kind: List}
	case Claimed:
		if c.resumed || c.doubt != nil {
			return Do{Kind: List}
		}
		return Do{Kind: Write}
	case Written:
		return Do{Kind: List}
	}
	if c.Retiring {
		return Do{Kind: Retire, ID: c.Old[0]}
	}
	if c.sweepNow || !now.Before(c.askAt) {
		return Do{Kind: List}
	}
	if !c.Settled() && c.view.find(c.Order.ID) == nil && !now.Before(c.pollAt) {
		return Do{Kind: Poll}
	}
	return Do{Kind: Look, After: c.pause(now)}
}

// wakes is how long until the first look, or the next while there are no ports.
func (c *Course) wakes(now time.Time) time.Duration {
	if now.After(c.Started) {
		return lookOften
	}
	return 0
}

// mustSave tells that the next effect may not come before the journal: what is
// to be written or retired must be known after a crash, and how it ended.
func (c *Course) mustSave() bool {
	return c.Reached == Claimed || c.Retiring || c.GivesWay != "" || c.Ended()
}

// pause is how long until the next look.
func (c *Course) pause(now time.Time) time.Duration {
	switch {
	case !c.looked:
		return 0
	case c.Settled():
		d := lookHolding
		if at := c.RetireAt(); !at.IsZero() {
			d = min(d, max(at.Sub(now), 0))
		}
		// Never a busy loop, whatever keeps the pairs from being retired.
		return max(d, lookSeldom)
	case now.Before(c.phaseAt.Add(eager)) && !now.Before(c.phaseAt):
		return lookOften
	}
	return lookSeldom
}

// Did takes what became of d, and returns what there is to tell.
func (c *Course) Did(now time.Time, d Do, r Result) []Event {
	now = plain(now)
	t := teller{c: c, now: now}
	if r.Err != nil {
		c.failed(&t, d, r.Err)
		return t.events
	}
	if d.Kind != Look && c.doubt == nil {
		c.backoff = 0
	}
	switch d.Kind {
	case Look:
		c.look(&t, r.View)
	case Save:
		c.dirty = false
	case List:
		c.listed(&t, r.Pairs)
	case Write:
		c.CKN = r.Pair.CKN
		c.reach(now, Written)
		t.tell(Event{Phase: Written, Pair: c.Order.ID, Detail: starts(&c.Order)})
	case Poll:
		c.pollAt = now.Add(askSource)
	case Retire:
		c.retired(&t, d.ID)
	}
	return t.events
}

func starts(o *Order) string {
	s := "it starts at " + stamp(o.NotBefore)
	if !o.Expires.IsZero() {
		s += " and expires at " + stamp(o.Expires)
	}
	return s
}

// failed plans the next try of d, or ends a rotation that has changed nothing.
func (c *Course) failed(t *teller, d Do, err error) {
	untouched := c.Reached == None || c.Reached == Claimed && d.Kind == Save && c.GivesWay == ""
	if untouched {
		c.end(t, Failed, fmt.Sprintf("%s: %v; nothing was changed", c.fails(d.Kind), err))
		c.dirty = false // there is nothing to go on with
		return
	}
	if d.Kind == Write && errors.Is(err, ErrRefused) {
		c.doubt = err
	}
	c.backoff = min(max(2*c.backoff, firstRetry), lastRetry)
	again := t.now.Add(Wait(err, c.backoff))
	switch {
	case d.Kind == Save && !c.mustSave():
		c.saveAt = again
	case d.Kind == List && !c.Reached.before(ReadBack) && !c.sweepNow:
		c.askAt = t.now.Add(Wait(err, askStore)) // nothing waits for it
	default:
		c.retryAt = again
	}
	t.once("retrying "+err.Error(), Event{Phase: Retrying, Pair: d.ID, Error: fmt.Sprintf("%s: %v", c.fails(d.Kind), err), Detail: "it is tried again; the traffic is not concerned"})
}

// reach notes a new phase.
func (c *Course) reach(now time.Time, p Phase) {
	for _, q := range order[slices.Index(order, c.Reached)+1 : slices.Index(order, p)+1] {
		c.Times[q] = now
	}
	c.Reached, c.phaseAt, c.dirty = p, now, true
}

func (c *Course) end(t *teller, outcome Phase, err string) {
	c.Outcome, c.Error = outcome, err
	c.Times[outcome] = t.now
	c.dirty = true
	e := Event{Phase: outcome, Pair: c.Order.ID, Lost: c.losses(), Error: err}
	if outcome == Done {
		e.Detail = c.afterwards()
	}
	t.tell(e)
}

// losses are those of the whole rotation; nil if nothing counts: a tunnel in
// transport mode has no interface.
func (c *Course) losses() map[string]uint64 {
	if c.Order.PSK && len(c.Counted) == 0 {
		return nil
	}
	m := make(map[string]uint64, len(c.Lost))
	for k, n := range c.Lost {
		m[k] = n
	}
	return m
}

// afterwards says what becomes of the old pairs.
func (c *Course) afterwards() string {
	switch {
	case c.Reached == Retired:
		return "the old " + c.key() + "s are retired"
	case c.RetireAt().IsZero():
		return fmt.Sprintf("the old %ss are kept until the %ss without a peer have moved too", c.key(), c.place())
	case c.Hold == 0 && c.view.Unsealed != "":
		return "the old " + c.key() + "s are kept until the keys can be sealed"
	}
	return fmt.Sprintf("the old %ss are retired at %s, after a hold of %v", c.key(), stamp(c.RetireAt()), c.Hold)
}

// teller collects events.
type teller struct {
	c      *Course
	now    time.Time
	events []Event
}

func (t *teller) tell(e Event) {
	e.Time, e.ElapsedMS, e.Keychain, e.CKN = t.now, max(t.now.Sub(t.c.Started).Milliseconds(), 0), t.c.Keychain, t.c.CKN
	if t.c.Order.PSK {
		e.PSK, e.Tunnel, e.Port = t.c.PSK(), e.Port, ""
	}
	t.events = append(t.events, e)
}

// once tells what was not told before under key.
func (t *teller) once(key string, e Event) {
	if !t.c.told[key] {
		t.c.told[key] = true
		t.tell(e)
	}
}
