package rotate

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

const (
	// maxEvents bounds what is kept of a timeline for those who come late, and
	// what waits for a follower: one that does not read is let go.
	maxEvents = 256
	// patience bounds one request to a store.
	patience = 2 * time.Minute
	// askOwner is how often the store is asked, while nothing is due, whose
	// the keychain is and what is there.
	askOwner = time.Hour
	// askClock is how often a clock that cannot be trusted is looked at.
	askClock = time.Minute
	// askRefused is how often it is looked whether a journal that was refused
	// is still there.
	askRefused = time.Minute
	// The wait after a failure of the schedule doubles from the first to the
	// second.
	firstRetry, lastRetry = 5 * time.Second, 30 * time.Minute
)

// request asks for a rotation.
type request struct{ f *follower }

// follower is somebody who follows a rotation.
type follower struct {
	events chan course.Event
	owned  bool // the keychain is another's: set before the event that says so
}

// chain is a keychain followed.
type chain struct {
	Chain
	o     Options
	log   *slog.Logger
	tally *tally
	stop  context.CancelFunc
	asked chan request
	ended chan struct{}
	over  <-chan struct{}

	// of the goroutine alone
	cur     *course.Course
	before  *course.Course // what cur takes over once it is in the journal
	fresh   bool           // cur is not in the journal yet
	planAt  time.Time      // when the schedule is to be looked at
	backoff time.Duration
	due     course.Due

	mu        sync.Mutex
	history   []course.Event
	followers []*follower
	report    Report
	problem   string // of the schedule
	foreign   string // of the journal; written by the goroutine alone
}

func (c *chain) run(ctx context.Context) {
	defer c.drop()
	c.resume()
	for ctx.Err() == nil {
		c.publish()
		if c.plans(time.Now()) {
			c.plan(ctx)
			continue
		}
		d := course.Do{Kind: course.End}
		if c.cur != nil {
			d = c.cur.Next(time.Now())
		}
		switch d.Kind {
		case course.End:
			if c.cur != nil {
				c.finish(ctx)
				continue
			}
			if c.removed() {
				continue // to tell it
			}
			pause := c.untilPlan()
			if c.foreign != "" {
				pause = min(pause, askRefused)
			}
			c.wait(ctx, pause)
		case course.Look:
			if d.After > 0 && !c.wait(ctx, min(d.After, c.untilPlan())) {
				continue // another rotation may have begun
			}
			c.did(d, course.Result{View: c.o.Look(c.Name)})
		default:
			c.did(d, c.do(ctx, d))
		}
	}
}

// resume goes on with what the journal says.
func (c *chain) resume() {
	b, err := c.o.Journal.Load(c.Name)
	if err == nil && b != nil {
		var s *course.State
		if s, err = course.Decode(b); err == nil && !s.Ended() {
			s.Adopt(c.Place)
			if why := s.Foreign(c.Name, c.Place, c.Owner); why != "" {
				c.refuse(s, why)
				return
			}
			c.cur = course.Resume(time.Now(), s)
			c.log.Info("a rotation goes on", "phase", string(s.Reached), "pair", s.Order.ID)
		}
	}
	if err != nil {
		c.log.Error("the journal of the rotation is lost; old keys may be left, which linkseal keys list shows", "error", err)
	}
}

// refuse leaves a journal alone that is of something else: its pair, and what
// it would retire, are not there, or not ours.
func (c *chain) refuse(s *course.State, why string) {
	c.mu.Lock()
	c.foreign = fmt.Sprintf("the journal of a rotation that is under way (rotations/%s.json in the state directory) is another's: %s; it is not gone on with, and key %s and those before it stay as they are; was the state directory copied, or the keychain's source changed? Put that right, or remove the journal; the next rotation replaces it", c.Name, why, s.Order.ID)
	c.mu.Unlock()
	c.log.Error("the journal of a rotation is refused", "error", c.foreign)
}

// removed tells whether a journal that was refused is there no more, and clears
// the alarm if so: it was removed, or is of a rotation of ours that has ended.
func (c *chain) removed() bool {
	if c.foreign == "" {
		return false
	}
	b, err := c.o.Journal.Load(c.Name)
	if err != nil {
		return false
	}
	if b != nil {
		if s, err := course.Decode(b); err != nil || !s.Ended() {
			return false
		}
	}
	c.accept()
	c.log.Info("the journal that was refused is there no more")
	return true
}

// accept ends the alarm of a journal that was refused.
func (c *chain) accept() {
	c.mu.Lock()
	c.foreign = ""
	c.mu.Unlock()
}

// wait lets d pass; false: something else came first.
func (c *chain) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case r := <-c.asked:
		c.ask(r)
	case <-ctx.Done():
	}
	return false
}

// ask begins a rotation for a follower, or has it follow the one that runs.
func (c *chain) ask(r request) {
	if c.cur != nil && !c.cur.Settled() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, e := range c.history {
			r.f.events <- e // it holds as many
		}
		r.f.events <- course.Event{Time: time.Now(), Keychain: c.Name, Phase: course.Resumed, CKN: c.cur.CKN, PSK: c.cur.PSK(), Pair: c.cur.Order.ID,
			ElapsedMS: max(time.Since(c.cur.Started).Milliseconds(), 0), Detail: "a rotation is under way; this is its course"}
		c.followers = append(c.followers, r.f)
		return
	}
	c.mu.Lock()
	c.history, c.followers = nil, []*follower{r.f}
	c.mu.Unlock()
	p := course.Plan{Cause: course.Asked}
	if s := c.Schedule; s != nil {
		p.Life = s.Every + s.Overlap + s.Hold
	}
	c.begin(p)
}

// begin starts the rotation p describes. One before it that only holds old pairs goes on
// if this one comes to nothing.
func (c *chain) begin(p course.Plan) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(c.o.Rand, id); err != nil {
		panic("no random numbers: " + err.Error()) // crypto/rand's never fail
	}
	p.Keychain, p.Store, p.ID, p.Owner, p.Octets, p.Hold, p.Sweep = c.Name, c.Place, hex.EncodeToString(id), c.Owner, c.Octets, c.Hold, c.Sweep
	p.PSK, p.Text, p.Lead = c.PSK, c.Text, c.Lead
	if c.before = c.cur; c.before != nil {
		p.Old = append([]string{}, c.before.Old...)
	}
	c.cur, c.fresh = course.Begin(time.Now(), p), true
}

// finish lets a rotation that has ended go.
func (c *chain) finish(ctx context.Context) {
	ended := c.cur
	c.drop()
	if c.fresh {
		// It came to nothing before the journal was its own.
		switch {
		case c.before != nil:
			c.before.Keep()
		case ended.Reached != course.None:
			// What it may have written must not be taken up after a restart.
			// Before the claim it wrote nothing, and one refused stays.
			if r := c.do(ctx, course.Do{Kind: course.Save}); r.Err != nil {
				c.log.Warn("the journal cannot be saved", "error", r.Err)
			}
		}
	}
	c.cur, c.before, c.fresh = c.before, nil, false
	if ended.Cause == course.Scheduled {
		c.again(ended.Outcome == course.Failed, 0)
	}
}

// again plans the next look at the schedule: after a failure not sooner than in
// wait.
func (c *chain) again(failed bool, wait time.Duration) {
	if !failed {
		c.backoff, c.planAt = 0, time.Time{}
		return
	}
	c.backoff = min(max(2*c.backoff, firstRetry), lastRetry)
	c.planAt = time.Now().Add(max(c.backoff, wait))
}

func (c *chain) do(ctx context.Context, d course.Do) (r course.Result) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch d.Kind {
	case course.Save:
		var b []byte
		if b, r.Err = c.cur.Encode(); r.Err == nil {
			r.Err = c.o.Journal.Save(c.Name, b)
		}
	case course.List:
		r.Pairs, r.Err = c.Store.List(ctx)
	case course.Write:
		r.Pair, r.Err = c.Store.Write(ctx, c.cur.Order)
	case course.Retire:
		r.Err = c.Store.Retire(ctx, d.ID)
	case course.Poll:
		c.o.Poll(c.Name)
	}
	return r
}

// did takes the result and tells the events.
func (c *chain) did(d course.Do, r course.Result) {
	if r.Err != nil && c.stopped() {
		return // it is not the store that failed
	}
	if d.Kind == course.Save && r.Err == nil {
		c.before, c.fresh = nil, false // the journal is this one's now
		c.accept()
	}
	for _, e := range c.cur.Did(time.Now(), d, r) {
		c.tell(e)
	}
}

func (c *chain) stopped() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

// tell logs an event and gives it to the followers.
func (c *chain) tell(e course.Event) {
	level := slog.LevelInfo
	switch e.Phase {
	case course.Failed, course.Retrying, course.Unsecured:
		level = slog.LevelError
	case course.Waiting:
		level = slog.LevelWarn
	}
	args := []any{"phase", string(e.Phase)}
	for _, a := range [][2]string{{"port", e.Port}, {"tunnel", e.Tunnel}, {"ckn", e.CKN.String()}, {"psk", e.PSK}, {"pair", e.Pair}, {"detail", e.Detail}, {"error", e.Error}} {
		if a[1] != "" {
			args = append(args, a[0], a[1])
		}
	}
	if e.Last() {
		args = append(args, "lost", course.Sum(e.Lost))
		c.tally.count(e.Phase, c.cur.Owned)
	}
	c.log.Log(context.Background(), level, "rotation", args...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.history) < maxEvents/2 {
		c.history = append(c.history, e)
	}
	for _, f := range slices.Clone(c.followers) {
		f.owned = c.cur.Owned
		select {
		case f.events <- e:
		default:
			c.release(f)
		}
	}
}

func (c *chain) leave(f *follower) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.followers = slices.DeleteFunc(c.followers, func(g *follower) bool { return g == f })
}

// release lets a follower go; its channel ends.
func (c *chain) release(f *follower) {
	c.followers = slices.DeleteFunc(c.followers, func(g *follower) bool { return g == f })
	close(f.events)
}

// drop lets all followers go.
func (c *chain) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range slices.Clone(c.followers) {
		c.release(f)
	}
}

// publish makes the report.
func (c *chain) publish() {
	r := Report{Keychain: c.Name}
	if cur := c.cur; cur != nil {
		r.Phase, r.Since = cur.Reached, &cur.Started
		switch {
		case cur.CKN != "":
			r.CKN = cur.CKN.String()
		case cur.Written():
			r.PSK = cur.PSK()
		}
		if at := cur.RetireAt(); !at.IsZero() {
			r.RetireAt = &at
		}
	}
	if c.Schedule != nil && !c.due.At.IsZero() {
		at := c.due.At
		r.Next = &at
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Error = c.problem; c.foreign != "" {
		r.Error = strings.TrimSuffix(c.foreign+"; "+c.problem, "; ")
	}
	c.report = r
}

// told is the report; false if there is nothing to tell.
func (c *chain) told() (Report, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.report
	return r, r.Phase != "" || r.Next != nil || r.Error != "" || c.Schedule != nil
}

// fault notes what is wrong with the schedule, and logs it when it is new.
func (c *chain) fault(text string) {
	c.mu.Lock()
	before := c.problem
	c.problem = text
	c.mu.Unlock()
	switch {
	case text == before:
	case text == "":
		c.log.Info("the schedule of the rotation is kept again")
	default:
		c.log.Error("the keychain is not rotated by schedule", "error", text)
	}
}

// scheduled tells whether the schedule may begin a rotation: also while the pair
// of one before it waits for a peer, which may be away for longer than that pair
// lasts.
func (c *chain) scheduled() bool {
	return c.Schedule != nil && (c.cur == nil || c.cur.Waits())
}

// plans tells whether the schedule is to be looked at now.
func (c *chain) plans(now time.Time) bool { return c.scheduled() && !now.Before(c.planAt) }

// untilPlan is how long until then.
func (c *chain) untilPlan() time.Duration {
	if !c.scheduled() {
		return askOwner
	}
	return max(time.Until(c.planAt), 0)
}

// plan looks at the schedule, and begins what is due.
func (c *chain) plan(ctx context.Context) {
	now := time.Now()
	if wrong := c.o.Look(c.Name).Clock; wrong != "" {
		c.fault(wrong)
		c.planAt = now.Add(askClock)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pairs, err := c.Store.List(ctx)
	now = time.Now()
	if err != nil {
		if c.stopped() {
			return
		}
		c.fault(fmt.Sprintf("the keys cannot be listed: %v", err))
		c.again(true, course.Wait(err, 0))
		return
	}
	if owned := course.Owned(c.Name, pairs, c.Owner); owned != nil {
		c.due = course.Due{}
		c.fault(owned.Error())
		c.planAt = now.Add(askOwner)
		return
	}
	c.due = c.Schedule.Next(pairs, now)
	if c.due.Problem != "" {
		c.fault(c.due.Problem)
		c.planAt = now.Add(askOwner)
		return
	}
	c.fault("")
	c.backoff = 0
	if wait := c.due.At.Sub(now); wait > 0 {
		c.planAt = now.Add(min(wait, askOwner))
		return
	}
	c.mu.Lock()
	c.history = nil
	c.mu.Unlock()
	c.begin(course.Plan{Cause: course.Scheduled, Window: c.due.Window})
}
