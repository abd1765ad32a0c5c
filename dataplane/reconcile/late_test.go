package reconcile

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// lateKeeper is a Keeper whose sealer hangs until it is released.
type lateKeeper struct {
	*fakeKeeper
	mu      sync.Mutex
	hangs   chan struct{} // nil: not any more
	bounded time.Duration // a call ends with ErrLater after it; 0: never
	loads   int
}

func (k *lateKeeper) wait() error {
	k.mu.Lock()
	hangs, bounded := k.hangs, k.bounded
	k.mu.Unlock()
	if hangs == nil {
		return nil
	}
	var over <-chan time.Time
	if bounded > 0 {
		over = time.After(bounded)
	}
	select {
	case <-hangs:
		return nil
	case <-over:
		return fmt.Errorf("TPM /dev/tpmrm0: it does not answer: %w", ErrLater)
	}
}

func (k *lateKeeper) Load() (Kept, error) {
	k.mu.Lock()
	k.loads++
	k.mu.Unlock()
	if err := k.wait(); err != nil {
		return Kept{}, err
	}
	return k.fakeKeeper.Load()
}

func (k *lateKeeper) Save(s Kept) error {
	if err := k.wait(); err != nil {
		return err
	}
	return k.fakeKeeper.Save(s)
}

func (k *lateKeeper) set(hangs chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.hangs != nil {
		close(k.hangs)
	}
	k.hangs = hangs
}

// A sealer that hangs at the start keeps no port from the keys of other sources,
// and loses no key that is sealed; what is sealed is used when it answers.
func TestSealerHangsAtStart(t *testing.T) {
	for name, bounded := range map[string]time.Duration{"for ever": 0, "beyond its deadline": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			late := &lateKeeper{bounded: bounded}
			ports := portLine("a", "eth1", "") + strings.Replace(portLine("b", "eth2", ""), "k1", "k2", 1)
			runWith(t, newMachine("eth1", "eth2"), ports, func(w *world) {
				late.fakeKeeper, late.hangs = w.keeper, make(chan struct{})
				w.keep = late
				w.keeper.kept = kept(t, time.Now(), keys(32, 0x31))
				w.sources["k1"].load = pending
			}, func(w *world) {
				time.Sleep(keptPatience)
				w.settle()
				w.want("sessions", []string{"a", "b"}, w.open())
				w.want("keys of the source that is there", []string{"22/32"}, w.started()[1].hasKeys())
				w.want("keys of the one that is not", []string(nil), w.started()[0].hasKeys())
				if text := w.r.Status().SealError; !strings.Contains(text, "sealed keys cannot be read yet, nor saved") {
					t.Errorf("status says %q", text)
				}
				time.Sleep(2 * time.Minute)
				w.settle()
				if bounded > 0 && (!strings.Contains(w.r.Status().SealError, "it does not answer") || late.loads < 2) {
					t.Errorf("status says %q after %d tries", w.r.Status().SealError, late.loads)
				}
				if n := strings.Count(w.log.String(), "sealed keys cannot be read yet"); n > 2 {
					t.Errorf("told %d times:\n%s", n, w.log.String())
				}
				w.want("saves meanwhile", 0, w.keeper.count())
				w.want("sealed meanwhile", []string{k1Kept + ": 31"}, w.keeper.has())
				late.set(nil)
				time.Sleep(2 * resync)
				w.settle()
				w.want("sealed keys, late", []string{"31/32"}, w.started()[0].hasKeys())
				w.want("keys of the other", []string{"22/32"}, w.started()[1].hasKeys())
				w.want("sealed", []string{k1Kept + ": 31", "k2 file /k2: 22"}, w.keeper.has())
				w.want("alarm", "", w.r.Status().SealError)
			})
		})
	}
}

// One that hangs while the daemon runs is told of, changes nothing of the keys
// in memory, and does not keep the daemon from ending.
func TestSealerHangsLater(t *testing.T) {
	late := &lateKeeper{}
	runWith(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		late.fakeKeeper = w.keeper
		w.keep = late
	}, func(w *world) {
		late.mu.Lock()
		late.hangs, late.bounded = make(chan struct{}), 30*time.Second
		late.mu.Unlock()
		w.sources["k1"].set(keys(32, 0x11, 0x12), true)
		w.settle()
		w.want("keys", []string{"12/32", "11/32"}, w.started()[0].hasKeys())
		time.Sleep(time.Minute)
		w.settle()
		if text := w.r.Status().SealError; !strings.Contains(text, "it does not answer") {
			t.Errorf("status says %q", text)
		}
		w.logged("keys cannot be sealed")
		w.want("keys", []string{"12/32", "11/32"}, w.started()[0].hasKeys())
		late.mu.Lock()
		late.bounded = 0
		late.mu.Unlock()
		time.Sleep(time.Minute)
		began := time.Now()
		w.stop()
		if took := time.Since(began); took > endPatience {
			t.Errorf("the end took %s", took)
		}
		w.logged("keys are not sealed in time for the end")
		late.set(nil) // the goroutine that waits for it ends
		synctest.Wait()
	})
}

// fakeVault is a source that takes what was sealed.
type fakeVault struct {
	*fakeSource
	restored *keychain.Keychain
}

func (v *fakeVault) Restore(c *keychain.Keychain) { v.restored = c.Clone() }

func (v *fakeVault) Load() (*keychain.Keychain, error) {
	if c, err := v.fakeSource.Load(); err == nil || v.restored == nil || !errors.Is(err, keychain.ErrPending) {
		return c, err
	}
	return v.restored.Clone(), nil
}

// A vault that has given nothing takes the sealed keys late, too.
func TestRestoredLate(t *testing.T) {
	late := &lateKeeper{}
	runWith(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		late.fakeKeeper, late.hangs = w.keeper, make(chan struct{})
		w.keep = late
		w.keeper.kept = kept(t, time.Now(), keys(32, 0x31))
		w.sources["k1"].load = pending
		w.vault = &fakeVault{fakeSource: w.sources["k1"]}
	}, func(w *world) {
		time.Sleep(keptPatience)
		w.settle()
		w.want("keys before", []string(nil), w.started()[0].hasKeys())
		late.set(nil)
		w.settle()
		w.want("keys", []string{"31/32"}, w.started()[0].hasKeys())
		w.logged("keychain has its sealed keys until its source answers")
	})
}
