package reconcile

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

const (
	// resync is how often the machine is looked at without a reason: not all
	// that can take a filter off a device makes an event.
	resync = 5 * time.Second
	// settle is the least time between two looks that events ask for.
	settle = 50 * time.Millisecond
	// The wait after a failure doubles from the first to the second.
	firstRetry, lastRetry = time.Second, resync
)

// Machine is what the reconciler observes and changes; Kernel is the real one.
type Machine interface {
	// Observe reports all links; of d's must-secure ports the filters too, or
	// why they cannot be read.
	Observe(d plan.Desired) (plan.Observed, error)
	// Apply carries out one step. Steps are idempotent.
	Apply(plan.Step) error
	// Capabilities says what keeps SecYs from running in the kernel, or in
	// user space. It takes some milliseconds.
	Capabilities() plan.Capabilities
	// Watch sends a token after links have changed, until ctx ends.
	Watch(ctx context.Context) (<-chan struct{}, error)
	// FilterCounters are those of the filter on device; nil without one.
	FilterCounters(device string) (map[string]uint64, error)
	// OuterCircuits are the VLAN tags before the SecTAGs that the filter on
	// device saw, with what it counted.
	OuterCircuits(device string) ([]status.Circuit, error)
	// Flows are the counters of the flows of tunnels on device, in the direction
	// and to the end that they name; nil without an underlay's filter.
	Flows(device string) ([]status.Flow, error)
	// Dropped is what interfaces have dropped, by interface and counter, of those
	// that are there; with ipsec that of the kernel's IPsec too, as status.XFRM.
	Dropped(interfaces []string, ipsec bool) map[string]map[string]uint64
	// Fenced is what the fence has held back; nil without one.
	Fenced() *status.Fenced
	// Tagging is what is counted on a port's interface that has tags.
	Tagging(name string) (status.Tagging, error)
	// Guard has other processes refused what would transmit past the filter on
	// device, or no longer. Where that is so it does nothing.
	Guard(device string, on bool) error
	// Enforcement is what stands at device; nil if that is not there.
	Enforcement(device string) *status.Enforcement
}

// Session is a port's KaY, running.
type Session interface {
	// SetKeys gives it what the keychain holds now. It keeps nothing of it.
	SetKeys(keychain.Selection)
	// Configure tells that the port's configuration changed in what does not
	// end the session: SendSCI, ReplayWindow, and what is not its business.
	// In the kernel the plan has changed the device already.
	Configure(config.Port)
	// LinkChanged tells the parent's carrier.
	LinkChanged(up bool)
	// SetPromiscuous tells whether the interface is to receive all frames,
	// as in a bridge.
	SetPromiscuous(bool)
	// FilterSet tells that the filter on the parent was set, or set anew. false:
	// the session does not work with this one, and another would.
	FilterSet() bool
	// Enforced tells, after each look, that filter and guard stand ("") or what
	// does not, and that frames may so pass uncounted.
	Enforced(why string)
	// Report fills in what the KaY knows of the port: State (Secured or
	// Unsecured), since when, why not, participants, SAs, counters. false:
	// it has ended.
	Report(*status.Port) bool
	// Idle is how long the KaY has been at one thing: less than a second unless it hangs.
	Idle() time.Duration
	// Suspend is to come before a Close where the SecY stays and another
	// session will come to it: peers are asked to keep their SAs meanwhile. It
	// may take a second.
	Suspend() error
	// Close ends it. The SAs stay.
	Close() error
}

// Place is where a Session works. A Session does not outlive a change of it.
type Place struct {
	Parent, Interface int  // ifindex
	Userspace         bool // Interface is a tap, and the SecY the session's
	// What of Parent the SecY in user space has to know; else 0.
	MTU, RxQueues, TxQueues int
	SCI                     sa.SCI
}

// Drops tells what filters drop.
type Drops interface {
	// Follow names the ports that have a filter, and the underlays of tunnels
	// that have one by underlayName, with the index of their device, after each
	// look at the machine. It does not wait.
	Follow(ports map[string]int)
	// Report tells what was seen of one of them, the newest events first.
	Report(name string) status.Drops
}

// Source is where a keychain comes from.
type Source interface {
	// Load reads it.
	Load() (*keychain.Keychain, error)
	// Watch sends a token when it may have changed, until ctx ends.
	Watch(ctx context.Context) <-chan struct{}
}

// Options are what a Reconciler works with. All but Notify and Drops are needed.
type Options struct {
	Machine Machine
	// Open starts the KaY of a port whose device exists.
	Open func(config.Port, Place) (Session, error)
	// OpenTunnel starts what encrypts of a tunnel whose interfaces exist; it is
	// not needed without tunnels.
	OpenTunnel func(config.Tunnel, overlay.Place) (overlay.Session, error)
	// Answer answers the other end's probes that come in by a member's interface,
	// from its address to ours, out of that interface, until Close. It may be nil.
	Answer func(device string, local, from netip.Addr) (io.Closer, error)
	// Source opens a keychain's source. It does not read it.
	Source func(config.Keychain) (Source, error)
	// Load reads the configuration anew, for a reload.
	Load func() (*config.Config, error)
	// Configured tells which configuration runs: at the start, and after a
	// reload that was taken. It may be nil.
	Configured func(*config.Config)
	// Seen keeps when keys were first seen.
	Seen SeenStore
	// Keeper keeps the last good keys, sealed.
	Keeper Keeper
	Drops  Drops
	// Clock is the wall clock, and whether somebody keeps it right or has set it.
	Clock func() (now time.Time, set bool)
	Log   *slog.Logger
	// Version of linkseal, for the status.
	Version string
	// Notify tells the service manager (sdnotify.Send), and Alive is how
	// often it wants to hear; 0: never.
	Notify func(states ...string) error
	Alive  time.Duration
}

// Reconciler runs the ports of one configuration.
type Reconciler struct {
	o       Options
	log     *slog.Logger
	cfg     *config.Config
	chosen  map[string]plan.Choice // where the ports and tunnels of cfg run
	probed  time.Time              // when what chosen goes by was last asked
	untried bool                   // that was not known
	rings   map[string]*ring
	ports   map[string]*port   // by name
	tunnels map[string]*tunnel // by name
	seen    map[string]keychain.Seen
	kept    keeping
	loaded  chan string   // a keychain's name: its source has changed
	reloads chan struct{} // a token: to be read anew
	moved   chan struct{} // a token: a tunnel is other than it was
	pace    bucket        // of reloads
	retry   time.Duration // 0: nothing fails
	isReady bool          // the first look is over
	told    time.Time     // when the service manager last heard of a look that goes on
	hangs   string        // the port whose KaY does; "" if none does
	failed  string        // why the machine could not be observed; "" if it was
	ctx     context.Context

	mu           sync.Mutex // guards what follows, for Status
	view         []view
	tunnelView   []tunnelView
	keychains    []keychainView
	sealError    string
	unsealed     string
	clockHeld    *time.Time
	name         string
	reloadErrors []string
	waiting      []chan<- []string // for what becomes of the next reload
}

// New returns a Reconciler for cfg; Run runs it.
func New(cfg *config.Config, o Options) *Reconciler {
	return &Reconciler{o: o, log: o.Log, cfg: cfg, rings: make(map[string]*ring), ports: make(map[string]*port), tunnels: make(map[string]*tunnel),
		loaded: make(chan string), reloads: make(chan struct{}, 1), moved: make(chan struct{}, 1)}
}

// Reload asks for the configuration to be read anew, soon. It does not wait.
func (r *Reconciler) Reload() {
	select {
	case r.reloads <- struct{}{}:
	default: // one is asked for already
	}
}

// AwaitReload has the configuration read anew and waits until it runs, and a
// look was taken at the machine with it: wrong is empty; or until it is
// refused, for all that is wrong. An error is ctx's: it is not known what
// became of it.
func (r *Reconciler) AwaitReload(ctx context.Context) (wrong []string, err error) {
	done := make(chan []string, 1)
	r.mu.Lock()
	r.waiting = append(r.waiting, done)
	r.mu.Unlock()
	r.Reload()
	select {
	case wrong = <-done:
		return wrong, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Run reconciles until ctx ends, and leaves all in place then. It fails only
// where it cannot begin.
func (r *Reconciler) Run(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	r.ctx, r.told = watching, time.Now()
	events, err := r.o.Machine.Watch(watching)
	if err != nil {
		return err
	}
	r.loadSeen()
	r.loadKept()
	r.follow()
	r.chosen = r.place(r.cfg)
	r.configured()
	alive, stopAlive := r.ticker()
	defer stopAlive()
	due, turn := time.NewTimer(0), time.NewTimer(time.Hour)
	turn.Stop() // of a reload that waits
	defer due.Stop()
	defer turn.Stop()
	var last time.Time
	soon := func() {
		gap := settle
		if r.retry > 0 { // our own attempts make events too
			gap = min(r.retry, firstRetry)
		}
		due.Reset(max(0, gap-time.Since(last)))
	}
	look := func() {
		r.pass()
		if !r.isReady {
			r.isReady = true
			r.notify(ready)
		}
		last = time.Now()
		due.Reset(r.wait())
	}
	reload := func() {
		if wait := r.pace.take(time.Now()); wait > 0 {
			turn.Reset(wait)
			return
		}
		tell := r.reload()
		look()
		tell()
		r.pace.spent(time.Now())
	}
	for {
		select {
		case <-ctx.Done():
			r.end()
			return nil
		case <-due.C:
			look()
		case <-events:
			soon()
		case <-r.moved:
			soon()
		case <-r.reloads:
			reload()
		case <-turn.C:
			reload()
		case name := <-r.loaded:
			r.reread(name)
			soon()
		case l := <-r.kept.loading:
			r.keptLoaded(l)
			r.publish()
			soon()
		case err := <-r.kept.saving:
			if r.keptDone(err); err == nil {
				r.keep() // what came meanwhile
			}
			r.publish()
		case <-alive:
			r.tellAlive()
		}
	}
}

// wait is how long the next look may wait if nothing happens.
func (r *Reconciler) wait() time.Duration {
	d := resync
	if r.retry > 0 {
		d = min(d, r.retry)
	}
	return min(d, r.untilKeys())
}

// pass makes the machine as the configuration says.
func (r *Reconciler) pass() {
	ok := r.reconcile()
	r.selectKeys()
	r.keep()
	r.publish()
	if ok {
		r.retry = 0
		return
	}
	r.retry = min(max(2*r.retry, firstRetry), lastRetry)
}

// reconcile is one look; false: something failed and is to be tried again.
func (r *Reconciler) reconcile() bool {
	r.placeLacking()
	want := desired(r.cfg, r.chosen, r.look())
	observed, err := r.o.Machine.Observe(want)
	if err != nil {
		return r.blind(err)
	}
	r.failed = ""
	r.attend(want, observed)
	r.attendTunnels(want, observed)
	r.dislodge(observed)
	// Of a session that has ended it is not known what is live.
	want = desired(r.cfg, r.chosen, r.views())
	steps := plan.Build(want, observed)
	r.suspend(steps, observed)
	if r.suspendTunnels(steps) {
		want = desired(r.cfg, r.chosen, r.views())
		steps = plan.Build(want, observed)
	}
	r.around(want, observed)
	failed := r.apply(steps, func() { r.guard(observed, true) })
	for try := 0; len(steps) > 0; try++ {
		if observed, err = r.o.Machine.Observe(want); err != nil {
			return r.blind(err)
		}
		steps = plan.Build(want, observed)
		if len(failed) > 0 {
			break
		}
		// Who takes a filter or a route off again and again does not make us wait longer
		// to put it back.
		if try < 3 && onlyRestores(steps) {
			failed = r.apply(steps, func() { r.guard(observed, true) })
			continue
		}
		if again := steps; len(again) > 0 {
			// Somebody else works against us, or a step has no effect.
			r.log.Warn("the machine is not as planned after the plan", "next", again[0].String(), "steps", len(again))
			failed[again[0].Owner()] = &plan.Problem{Port: again[0].Port, Tunnel: again[0].Tunnel, Cause: "not as planned after the plan: " + again[0].String()}
		}
		break
	}
	r.followDrops(observed)
	r.guard(observed, false)
	ok := len(failed) == 0
	for _, name := range slices.Sorted(maps.Keys(r.ports)) {
		ok = r.ports[name].resume(r, observed, failed[name]) && ok
		r.goesOn()
	}
	for _, d := range want.Tunnels {
		if t := r.tunnels[d.Name]; t != nil {
			t.routed = failed[d.Name] == nil && (d.Transport || len(d.Live) > 0)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.tunnels)) {
		ok = r.tunnels[name].resume(r, observed, failed[name]) && ok
		r.goesOn()
	}
	r.enforced(want, observed)
	return ok
}

// onlyRestores tells whether nothing is to be done but what closes, or routes.
func onlyRestores(steps []plan.Step) bool {
	return len(steps) > 0 && !slices.ContainsFunc(steps, func(s plan.Step) bool { return !s.Closes() && s.Kind != plan.SetRoute })
}

// blind is a look that saw nothing.
func (r *Reconciler) blind(err error) bool {
	if text := err.Error(); text != r.failed {
		r.failed = text
		r.log.Error("the machine cannot be observed; trying again", "error", err)
	}
	return false
}

// apply carries steps out and returns what failed by port or tunnel. After a
// failure the rest of its steps, and those of its device, are left out, but what
// closes: what would open the way comes last.
//
// filtered is called once: when all that is to have a filter has it, and before
// anything else is done.
func (r *Reconciler) apply(steps []plan.Step, filtered func()) map[string]*plan.Problem {
	failed := make(map[string]*plan.Problem)
	devices := make(map[string]bool)
	first := slices.IndexFunc(steps, func(s plan.Step) bool { return !s.Closes() })
	for i, s := range steps {
		if i == first {
			filtered()
		}
		owner := s.Owner()
		if !s.Closes() && ((owner != "" && failed[owner] != nil) || devices[s.Device]) {
			continue
		}
		err := r.o.Machine.Apply(s)
		r.goesOn()
		if err != nil {
			r.failStep(s, err, failed)
			if s.Device != "" {
				devices[s.Device] = true
			}
			continue
		}
		if p := r.ports[s.Port]; s.Kind == plan.SetFilter && p != nil && p.session != nil {
			if !p.session.FilterSet() {
				p.close(r, "the filter does not feed its sockets any more")
			}
		}
		r.tellStep(s)
	}
	if first < 0 {
		filtered()
	}
	return failed
}

// failStep notes a step that failed, for all that it is of.
func (r *Reconciler) failStep(s plan.Step, err error, failed map[string]*plan.Problem) {
	if owner := s.Owner(); owner != "" {
		failed[owner] = problem(s, err)
		return
	}
	for _, t := range r.cfg.Tunnels {
		ruled := s.Kind == plan.SetRule || s.Kind == plan.HashByPorts
		if ruled && !t.Transport() || s.Kind == plan.SetUnderlay && t.Must && t.Device == s.Device || s.Kind == plan.SetFence && t.Must {
			s.Tunnel = t.Name
			failed[t.Name] = problem(s, err)
		}
	}
	if s.Tunnel == "" {
		failed[""] = problem(s, err)
		r.log.Error("step failed", "step", s.String(), "error", err)
	}
}

func (r *Reconciler) tellStep(s plan.Step) {
	if s.Tunnel != "" || s.Route != nil {
		r.log.Info("applied", "tunnel", s.Tunnel, "step", s.String())
		return
	}
	r.log.Info("applied", "port", s.Port, "step", s.String())
}
