package reconcile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

const (
	// keptPatience is how long a start waits for what was kept. A TPM takes a
	// second or two; one that hangs must not keep ports from other sources.
	keptPatience = 3 * time.Second
	// endPatience is how long an end waits for a Save.
	endPatience = 10 * time.Second
)

// ErrLater is that of a Load which did not find out what was kept, and may if it
// is asked again.
var ErrLater = errors.New("later")

// stamp is how old the time in what is kept may become before it is written
// again for that alone.
const stamp = time.Hour

// Kept is what must outlive the process beside the SAs: the last good keys of
// every source, and the newest wall clock seen with them.
type Kept struct {
	Time time.Time
	// Keychains by keptName.
	Keychains map[string]*keychain.Keychain
}

func (k *Kept) zero() {
	for _, c := range k.Keychains {
		c.Zero()
	}
}

// Keeper keeps them, sealed.
type Keeper interface {
	// Load returns what was saved last; the caller owns it. An error may come
	// with what could be read in spite of it; if it is ErrLater Load is called
	// again, and Save not before it has answered.
	Load() (Kept, error)
	// Save replaces it. Both are called from any goroutine, one at a time, may
	// take their time, and keep nothing of k.
	Save(k Kept) error
}

// Restoring is a Source that takes the keys of an earlier run, and holds what
// it reads against them.
type Restoring interface {
	// Restore is called while Load has no keys, before Watch or, if what was
	// kept could not be read then, after. The keychain stays the caller's.
	Restore(*keychain.Keychain)
}

// keptName names a keychain with its source: keys of another source than the
// configuration now has are not its keys.
func keptName(c config.Keychain) string {
	if v := c.Vault; v != nil {
		return c.Name + " " + c.Source + " " + v.Place()
	}
	return c.Name + " " + c.Source + " " + c.Path
}

// rename gives what was kept its keptName: an earlier release kept a vault as it
// was spelt.
func (k *Kept) rename() {
	for _, name := range slices.Sorted(maps.Keys(k.Keychains)) {
		f := strings.Split(name, " ")
		if len(f) != 6 || f[1] != config.SourceVault {
			continue
		}
		now := keptName(config.Keychain{Name: f[0], Source: f[1], Vault: &config.Vault{URL: f[2], CAK: f[3], CKN: f[4], PSK: f[5]}})
		if now == name {
			continue
		}
		if k.Keychains[now] == nil {
			k.Keychains[now] = k.Keychains[name]
		} else {
			k.Keychains[name].Zero() // kept under both: the other is newer
		}
		delete(k.Keychains, name)
	}
}

// keeping is what the reconciler knows of what is kept.
type keeping struct {
	time time.Time // the newest that was loaded or saved
	// loaded is what a ring without keys starts with, by keptName: what was
	// kept before this process, and what an earlier ring had of the same source.
	loaded map[string]*keychain.Keychain
	saving chan error // nil: no Save runs
	// loading has what the first Load that answers says; nil: none runs. Until
	// then unread is true: a Save would lose what is kept.
	loading chan keptLoad
	unread  bool
	dirty   bool
	err     string // of the last Save, or of the Load
	held    bool   // the clock is not believed: see now
}

// keptLoad is what a Load returned.
type keptLoad struct {
	Kept
	err error
}

// loadKept reads what was kept before this process, or goes on without it for
// now: what is slow comes later.
func (r *Reconciler) loadKept() {
	r.kept.unread = true
	r.askKept()
	timer := time.NewTimer(keptPatience)
	defer timer.Stop()
	select {
	case l := <-r.kept.loading:
		r.keptLoaded(l)
	case <-r.ctx.Done():
	case <-timer.C:
		r.keptFault(fmt.Errorf("what was sealed has not been read in %s; it is waited for", keptPatience))
	}
}

func (r *Reconciler) askKept() {
	done := make(chan keptLoad, 1)
	r.kept.loading = done
	go func() {
		k, err := r.o.Keeper.Load()
		done <- keptLoad{k, err}
	}()
}

// keptLoaded takes what was kept. Rings that have no keys yet get theirs.
func (r *Reconciler) keptLoaded(l keptLoad) {
	r.kept.loading = nil
	if errors.Is(l.err, ErrLater) {
		l.zero()
		r.keptFault(l.err)
		return
	}
	r.kept.unread = false
	switch {
	case l.err != nil:
		r.kept.err = "" // a Save follows, and tells
		r.log.Error("keys that were sealed cannot be used; ports wait for their keychains' sources", "error", l.err)
	case r.kept.err != "":
		r.kept.err = ""
		r.log.Info("what was sealed is read after all")
	}
	r.kept.time = l.Time
	l.rename()
	for name, chain := range r.kept.loaded { // of rings that have ended since: newer
		if old := l.Keychains[name]; old != nil {
			old.Zero()
		}
		if l.Keychains == nil {
			l.Keychains = make(map[string]*keychain.Keychain)
		}
		l.Keychains[name] = chain
	}
	r.kept.loaded = l.Keychains
	for name, n := range r.rings {
		if n.chain != nil {
			r.kept.drop(n.cfg)
			continue
		}
		r.restore(n)
		r.reread(name)
	}
}

// keptFault tells that what was kept could not be read yet, once.
func (r *Reconciler) keptFault(err error) {
	if text := "sealed keys cannot be read yet, nor saved: " + err.Error(); text != r.kept.err {
		r.kept.err = text
		r.log.Error("sealed keys cannot be read yet, nor saved; ports wait for their keychains' sources; it is tried again", "error", err)
	}
}

// restore gives a source that takes them the keys that were kept of it.
func (r *Reconciler) restore(n *ring) {
	s, ok := n.source.(Restoring)
	if chain := r.kept.loaded[keptName(n.cfg)]; ok && chain != nil {
		s.Restore(chain)
		r.log.Info("keychain has its sealed keys until its source answers", "keychain", n.cfg.Name, "keys", chain.Len(), "sealed", r.kept.time)
	}
}

// retain keeps the keys of a ring that ends for the next of the same source.
// They are the ring's no more.
func (r *Reconciler) retain(n *ring) {
	if n.chain == nil {
		return
	}
	if r.kept.loaded == nil {
		r.kept.loaded = make(map[string]*keychain.Keychain)
	}
	r.kept.drop(n.cfg)
	r.kept.loaded[keptName(n.cfg)], n.chain = n.chain, nil
}

// drop forgets what was loaded of a keychain: its ring has keys of its own.
func (k *keeping) drop(c config.Keychain) {
	if chain := k.loaded[keptName(c)]; chain != nil {
		chain.Zero()
		delete(k.loaded, keptName(c))
	}
}

// prune forgets what was loaded of sources that c does not have.
func (k *keeping) prune(c *config.Config) {
	has := make(map[string]bool)
	for _, chain := range c.Keychains {
		has[keptName(chain)] = true
	}
	maps.DeleteFunc(k.loaded, func(name string, chain *keychain.Keychain) bool {
		if !has[name] {
			chain.Zero()
		}
		return !has[name]
	})
}

// startKept gives a ring that has no keys those that were kept of its source.
func (r *Reconciler) startKept(n *ring) {
	name := keptName(n.cfg)
	chain := r.kept.loaded[name]
	if chain == nil || n.chain != nil {
		return
	}
	if err := r.cfg.CheckKeys(map[string]*keychain.Keychain{n.cfg.Name: chain}).Err(); err != nil {
		r.log.Error("sealed keys do not fit the configuration; they are not used", "keychain", n.cfg.Name, "error", err)
		return
	}
	n.sealed = true
	r.log.Warn("keychain cannot be read yet; its sealed keys are used", "keychain", n.cfg.Name, "keys", chain.Len(), "sealed", r.kept.time, "reason", n.err)
	r.adopt(n, chain.Clone())
}

// keep saves the keys of all rings, if they or the time have changed, in a
// goroutine: a TPM takes its time.
func (r *Reconciler) keep() {
	if r.kept.unread {
		if r.kept.loading == nil {
			r.askKept()
		}
		return
	}
	now := r.now()
	// A clock that was set may be earlier, too: what was sealed by a wrong one must
	// not hold the next start.
	if now.Sub(r.kept.time).Abs() >= stamp && len(r.kept.live(r.rings)) > 0 {
		r.kept.dirty = true
	}
	if !r.kept.dirty || r.kept.saving != nil {
		return
	}
	k := Kept{Time: now.Round(0).UTC(), Keychains: make(map[string]*keychain.Keychain)}
	// A ring without keys yet must not cost what was kept of it.
	for _, c := range r.cfg.Keychains {
		if chain := r.kept.loaded[keptName(c)]; chain != nil {
			k.Keychains[keptName(c)] = chain.Clone()
		}
	}
	for name, chain := range r.kept.live(r.rings) {
		if old := k.Keychains[name]; old != nil {
			old.Zero()
		}
		k.Keychains[name] = chain.Clone()
	}
	r.kept.dirty, r.kept.saving = false, make(chan error, 1)
	go func(done chan<- error) {
		err := r.o.Keeper.Save(k)
		k.zero()
		done <- err
	}(r.kept.saving)
	r.kept.time = k.Time
}

// unsealed is why the keys in use are not known to be sealed; empty if they are.
func (k *keeping) unsealed() string {
	switch {
	case k.err != "":
		return k.err
	case k.unread || k.dirty || k.saving != nil:
		return "sealing them has not ended yet"
	}
	return ""
}

// live are the keychains in use, by keptName.
func (*keeping) live(rings map[string]*ring) map[string]*keychain.Keychain {
	all := make(map[string]*keychain.Keychain)
	for _, n := range rings {
		if n.chain != nil {
			all[keptName(n.cfg)] = n.chain
		}
	}
	return all
}

// keptDone takes the result of a Save. What could not be saved is tried again
// with the next look.
func (r *Reconciler) keptDone(err error) {
	r.kept.saving = nil
	text := ""
	if err != nil {
		text, r.kept.dirty = err.Error(), true
	}
	if text != r.kept.err {
		if r.kept.err = text; err != nil {
			r.log.Error("keys cannot be sealed; a restart without their source would have none; it is tried again", "error", err)
		} else {
			r.log.Info("keys are sealed again")
		}
	}
}

// endKept waits for a Save that runs, saves what is not saved yet, and zeroes
// what was loaded. It does not wait for ever.
func (r *Reconciler) endKept() {
	timer := time.NewTimer(endPatience)
	defer timer.Stop()
	for range 2 {
		if r.kept.saving != nil {
			select {
			case err := <-r.kept.saving:
				r.keptDone(err)
			case <-timer.C:
				r.log.Error("keys are not sealed in time for the end; a restart has those that were sealed before", "waited", endPatience)
				r.kept.saving, r.kept.dirty = nil, false
			}
		}
		if r.kept.dirty && !r.kept.unread {
			r.keep()
		}
	}
	for _, name := range slices.Collect(maps.Keys(r.kept.loaded)) {
		r.kept.loaded[name].Zero()
	}
	r.kept.loaded = nil
}

// far is how much later than the sealed time a clock may be that nobody has set,
// and be believed: an appliance may have been off.
const far = 365 * 24 * time.Hour

// now is what windows of keys are held against: the clock; the newest time
// that was sealed, if nothing has set the clock and it is earlier, or later by
// more than an appliance is off: it started anew, and its time server may be
// behind the very link.
func (r *Reconciler) now() time.Time {
	now, set := r.o.Clock()
	const stays = ", and nothing has set it; keys stay as they were then; if it is right, or to set it: date -s, or timedatectl set-time, while the daemon runs"
	wrong := ""
	switch after := now.Sub(r.kept.time); {
	case set || r.kept.time.IsZero():
	case after < 0:
		wrong = "the clock is earlier than when keys were sealed" + stays
	case after > far:
		wrong = "the clock is more than a year later than when keys were sealed" + stays
	}
	if held := wrong != ""; held != r.kept.held {
		if r.kept.held = held; held {
			r.log.Warn(wrong, "clock", now, "sealed", r.kept.time)
		} else {
			r.log.Info("the clock is trusted again", "clock", now)
		}
	}
	if wrong != "" {
		return r.kept.time
	}
	return now
}
