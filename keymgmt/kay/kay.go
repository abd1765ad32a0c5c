// Package kay runs MKA on a port: one goroutine that owns the mka.Entity, its
// timer, the EAPOL socket and the SAs of a SecY.
//
// It owns the SAs; the SecY's shell (the device, its parameters, the
// enforcement around it) is the reconciler's. Stopping a KaY deletes nothing:
// the SecY goes on protecting with the SAs that it has, and the next KaY
// adopts them.
package kay

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// pollPN is how often packet numbers are read. A SecY stops without a word
// when a PN wraps.
const pollPN = 250 * time.Millisecond

// lookAtPort is how often the Controlled Port is set anew, lest somebody else's
// change of it lasts.
const lookAtPort = 2 * time.Second

// SecY is what a KaY needs of a SecY (802.1AE 10.7). Its methods are called
// from one goroutine.
type SecY interface {
	// Apply makes one change to the SA table. It is idempotent, as package
	// sa says for each kind.
	Apply(sa.Change) error
	// Observe fills t with the SAs as they are now, reusing its slices.
	Observe(t *sa.Table) error
	// SetControlledPort sets the state of the Controlled Port.
	SetControlledPort(sa.ControlledPort) error
}

// EAPOL is the port's uncontrolled side.
type EAPOL interface {
	// ReadBatch blocks for a frame with the port's EtherType, from DA on
	// without a VLAN tag, until Close. It takes what else is there, as far as
	// there are frames to put it in, cuts each to its size, and returns how
	// many it has filled.
	ReadBatch(frames [][]byte) (int, error)
	// Write sends a whole frame.
	Write(frame []byte) error
	Close() error
}

// Store keeps what must outlive the process: see mka.Saved. It is not secret.
type Store interface {
	// Load returns what was saved last; nil if nothing was.
	Load() ([]byte, error)
	// Save replaces it atomically. An SA is installed when it has returned;
	// MKPDUs do not wait for it, so that a slow disk costs no peer. It is
	// called from any goroutine, one at a time.
	Save([]byte) error
}

// Config is one port's.
type Config struct {
	Port string // its name in logs and errors
	MKA  mka.Config
	// Should lets clear traffic pass while no peer is live (secure: should).
	Should bool
	Log    *slog.Logger
	// Changed is called, from the KaY's goroutine, whenever the port has
	// become secured or unsecured. It may be nil, and must not block.
	Changed func(secured bool)
	// Retired is called, from the KaY's goroutine, when an SA or a CAK has
	// gone, and what its key left in memory can be erased. It may be nil, and
	// must not block.
	Retired func()
	// Members is called, from the KaY's goroutine, when the participants or
	// their peers are others than before. It may be nil, and must not block.
	Members func([]mka.Member)
}

// KaY is one port's, running.
type KaY struct {
	cfg    Config
	entity *mka.Entity
	conn   EAPOL
	secy   SecY
	store  Store
	epoch  time.Time

	frames chan [][]byte
	free   chan [][]byte // whole batches
	calls  chan func()
	keyed  chan struct{} // closed by the first SetKeys
	cancel context.CancelFunc
	leave  chan struct{} // closed by Suspend
	done   chan struct{}

	out   []mka.Action
	table sa.Table

	heard        time.Duration // when a frame last came; 0: never
	secured      bool
	port         sa.ControlledPort // as it is to be, if portSet
	portSet      bool
	portErr      string
	portAt       time.Duration // when it was set last
	securedSince time.Time
	sendErrors   uint64
	sendErr      string
	pollErr      string
	unsaved      *record // what the store does not have yet; nil: nothing
	saving       *record // what Save is at; nil: nothing
	saved        chan error
	install      *sa.Change // waits for Save
	saveErr      string

	turned     atomic.Int64 // when run last turned, as now tells it
	generation uint64       // of the members that were told
	ended      bool

	closing, first sync.Once
}

// Start adopts what the SecY has and runs MKA until Close. It listens from the
// first SetKeys on: before, every CKN would be unknown. The KaY closes
// conn then.
func Start(cfg Config, conn EAPOL, secy SecY, store Store) (*KaY, error) {
	e, err := mka.New(cfg.MKA)
	if err != nil {
		return nil, fmt.Errorf("port %s: %w", cfg.Port, err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &KaY{
		cfg: cfg, entity: e, conn: conn, secy: secy, store: store, epoch: time.Now(), cancel: cancel,
		frames: make(chan [][]byte), free: make(chan [][]byte, batches), calls: make(chan func()), keyed: make(chan struct{}), done: make(chan struct{}),
		saved: make(chan error, 1), leave: make(chan struct{}),
	}
	for range batches {
		k.free <- newBatch()
	}
	if err := k.adopt(); err != nil {
		cancel()
		return nil, err
	}
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		k.read(ctx)
	}()
	go func() {
		defer close(k.done)
		k.run(ctx)
		cancel()
		conn.Close()
		<-reading
	}()
	return k, nil
}

// adopt gives the Entity what the SecY and the store have.
func (k *KaY) adopt() error {
	saved, err := k.load()
	if err != nil {
		// Not knowing which CKN an SA belongs to is no reason to stop
		// protecting: the SAs are adopted without it.
		k.cfg.Log.Warn("saved MKA state is unreadable; starting without it", "port", k.cfg.Port, "error", err)
	}
	if err := k.secy.Observe(&k.table); err != nil {
		return fmt.Errorf("port %s: reading the SAs of its SecY: %w", k.cfg.Port, err)
	}
	k.step(mka.Event{Kind: mka.Adopt, Table: &k.table, Saved: saved})
	return nil
}

// now is the monotonic time since the KaY started.
func (k *KaY) now() time.Duration { return time.Since(k.epoch) }

func (k *KaY) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	poll := time.NewTicker(pollPN)
	defer poll.Stop()
	leave := k.leave
	for !k.ended {
		k.turned.Store(int64(k.now()))
		wait := time.Duration(1 << 62)
		if d := k.entity.Deadline(); d != mka.Never {
			wait = max(0, d-k.now())
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			k.step(mka.Event{Kind: mka.Close})
			k.ended = true
		case <-leave:
			leave = nil
			k.step(mka.Event{Kind: mka.Suspend})
		case frames := <-k.frames:
			k.heard = k.now()
			for _, f := range frames {
				k.step(mka.Event{Kind: mka.Received, Frame: f})
			}
			k.free <- frames[:cap(frames)]
		case call := <-k.calls:
			call()
		case err := <-k.saved:
			k.saveDone(err)
		case <-poll.C:
			k.poll()
		case <-timer.C:
			k.step(mka.Event{Kind: mka.Tick})
		}
	}
	k.lastSave()
	k.retired()
}

// poll gives the Entity the packet numbers. What could not be saved or set is
// tried again.
func (k *KaY) poll() {
	k.save()
	if k.portSet && (k.portErr != "" || k.now()-k.portAt >= lookAtPort) {
		k.assertPort()
	}
	if k.observe() {
		k.step(mka.Event{Kind: mka.PacketNumbers, Table: &k.table})
	}
}

// observe reads the SecY's SAs, and logs a new reason why it cannot.
func (k *KaY) observe() bool {
	err := k.secy.Observe(&k.table)
	if err == nil {
		k.pollErr = ""
		return true
	}
	if text := err.Error(); text != k.pollErr {
		k.pollErr = text
		k.cfg.Log.Warn("packet numbers cannot be read", "port", k.cfg.Port, "error", err)
	}
	return false
}

// step gives the Entity one event and carries out what it asks for. The table
// that Status shows follows every change at once.
func (k *KaY) step(ev mka.Event) {
	changed := false
	for again := true; again; {
		again = false
		k.out = k.entity.Step(k.now(), ev, k.out[:0])
		for i := range k.out {
			switch a := &k.out[i]; a.Kind {
			case mka.Send:
				k.send(a.Frame)
			case mka.Tell:
				k.tell(a.Report)
			case mka.Save:
				k.unsaved = newRecord(a.Saved)
				k.save()
			case mka.SetPort:
				k.setPort(a.Port)
			case mka.Closed:
				k.ended = true
			case mka.Change:
				// The last action.
				if c := a.Change; k.saving != nil && (c.Kind == sa.InstallRx || c.Kind == sa.InstallTx) {
					k.install = &c
					break
				}
				ev, again = mka.Event{Kind: mka.ChangeDone, Err: k.secy.Apply(a.Change)}, true
				changed = true
				switch a.Change.Kind {
				case sa.DeleteRx, sa.DeleteTx, sa.DeleteSC:
					k.retired()
				}
			}
		}
	}
	if changed {
		k.observe()
	}
	if g := k.entity.Generation(); g != k.generation {
		k.generation = g
		if k.cfg.Members != nil {
			k.cfg.Members(k.entity.Members())
		}
	}
}

// retired tells that a key has gone.
func (k *KaY) retired() {
	if k.cfg.Retired != nil {
		k.cfg.Retired()
	}
}

func (k *KaY) send(frame []byte) {
	err := k.conn.Write(frame)
	if err == nil {
		k.sendErr = ""
		return
	}
	k.sendErrors++
	if text := err.Error(); text != k.sendErr {
		k.sendErr = text
		k.cfg.Log.Warn("MKPDU not sent", "port", k.cfg.Port, "error", err)
	}
}

func (k *KaY) setPort(p sa.ControlledPort) {
	k.secured = p == sa.Secured
	k.securedSince = time.Now()
	if p == sa.Unsecured && k.cfg.Should {
		p = sa.Clear
	}
	k.port, k.portSet = p, true
	k.assertPort()
	if k.cfg.Changed != nil {
		k.cfg.Changed(k.secured)
	}
}

// assertPort sets the Controlled Port as it is to be, once more if need be: the
// SecY may have refused, or somebody else may have changed it. It logs a new
// reason why it cannot.
func (k *KaY) assertPort() {
	k.portAt = k.now()
	err := k.secy.SetControlledPort(k.port)
	if err == nil {
		if k.portErr != "" {
			k.cfg.Log.Info("controlled port set", "port", k.cfg.Port, "state", k.port.String())
		}
		k.portErr = ""
		return
	}
	if text := err.Error(); text != k.portErr {
		k.portErr = text
		k.cfg.Log.Error("controlled port not set; it is tried again", "port", k.cfg.Port, "state", k.port.String(), "error", err)
	}
}

// call runs f on the KaY's goroutine and waits for it. After Close it does
// nothing and returns false.
func (k *KaY) call(f func()) bool {
	ran := make(chan struct{})
	select {
	case k.calls <- func() { f(); close(ran) }:
		<-ran
		return true
	case <-k.done:
		return false
	}
}

// SetKeys sets the CAKs that may be used from now on, the preferred one
// first. One that carries traffic and is missing here stays until another
// carries it, unless its CKN is in cut. The keys are cloned.
func (k *KaY) SetKeys(keys []mka.Key, cut ...[]byte) {
	k.call(func() { k.step(mka.Event{Kind: mka.KeysChanged, Keys: keys, Cut: cut}) })
	k.first.Do(func() { close(k.keyed) })
}

// LinkChanged tells the carrier's state. A hello goes out at once when it
// comes up; while it is down the SAs stay, for the peers' life time.
func (k *KaY) LinkChanged(up bool) {
	if up {
		k.call(func() { k.step(mka.Event{Kind: mka.LinkUp}) })
	}
}

// Idle is how long the KaY's goroutine has been at one thing; no longer than the
// moment from one poll of the packet numbers to the next, unless it hangs. 0 after its
// end.
func (k *KaY) Idle() time.Duration {
	select {
	case <-k.done:
		return 0
	default:
		return k.now() - time.Duration(k.turned.Load())
	}
}

// Done is closed when the KaY has stopped.
func (k *KaY) Done() <-chan struct{} { return k.done }

// Suspend is Close where the SecY stays and another KaY is to come: peers that
// support it (802.1X-2020 9.18) are told to keep us and the SAs for
// mka.SuspendFor. It takes a second at the most, and no time if there are none.
func (k *KaY) Suspend() error {
	k.closing.Do(func() { close(k.leave) })
	<-k.done
	return nil
}

// Close stops MKA and waits for the goroutines. The SecY keeps its SAs.
func (k *KaY) Close() error {
	k.closing.Do(k.cancel)
	<-k.done
	return nil
}
