package reconcile

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

const k1Kept = "k1 file /k1"

func kept(t *testing.T, at time.Time, load func() (*keychain.Keychain, error)) Kept {
	t.Helper()
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return Kept{Time: at, Keychains: map[string]*keychain.Keychain{k1Kept: c}}
}

func pending() (*keychain.Keychain, error) { return nil, keychain.ErrPending }

// A source that is not there does not keep a port from its sealed keys, and
// what comes later takes their place.
func TestStartsWithSealedKeys(t *testing.T) {
	for name, load := range map[string]func() (*keychain.Keychain, error){"pending": pending, "failing": failing("no route to the vault")} {
		t.Run(name, func(t *testing.T) {
			runWith(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
				w.keeper.kept = kept(t, time.Now(), keys(32, 0x31))
				w.sources["k1"].load = load
			}, func(w *world) {
				s := w.started()[0]
				w.want("keys", []string{"31/32"}, s.hasKeys())
				k := w.r.Status().Keychains[0]
				if !k.Sealed || k.Error == "" || len(k.Keys) != 1 || k.Keys[0].CKN != "31" || k.Keys[0].State != "active" {
					w.t.Errorf("status %+v", k)
				}
				w.logged("its sealed keys are used")
				w.want("saves of what was sealed already", 0, w.keeper.count())
				w.sources["k1"].set(keys(32, 0x31, 0x32), true)
				w.settle()
				w.want("keys of the source", []string{"32/32", "31/32"}, s.hasKeys())
				w.want("sealed then", []string{k1Kept + ": 31 32"}, w.keeper.has())
				if k := w.r.Status().Keychains[0]; k.Sealed || k.Error != "" {
					w.t.Errorf("status %+v", k)
				}
				w.sources["k1"].set(failing("gone"), true)
				w.settle()
				w.want("keys after the source is gone", []string{"32/32", "31/32"}, s.hasKeys())
				w.want("sealed after that", []string{k1Kept + ": 31 32"}, w.keeper.has())
			})
		})
	}
}

// Keys that do not fit the ports, or that came from another source, are not
// used, and a keychain that cannot be read does not lose what is sealed of it.
func TestSealedKeysOfAnother(t *testing.T) {
	for name, c := range map[string]struct {
		k       func(*testing.T) Kept
		logged  string
		sealed  []string
		refused bool
	}{
		"too short": {func(t *testing.T) Kept { return kept(t, time.Now(), keys(16, 0x31)) }, "sealed keys do not fit", []string{k1Kept + ": 31"}, true},
		"another source": {func(t *testing.T) Kept {
			k := kept(t, time.Now(), keys(32, 0x31))
			k.Keychains["k1 file /old"], k.Keychains[k1Kept] = k.Keychains[k1Kept], nil
			delete(k.Keychains, k1Kept)
			return k
		}, "its ports stay unsecured", []string{"k1 file /old: 31"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
				w.keeper.kept = c.k(t)
				w.sources["k1"].load = failing("away")
			}, func(w *world) {
				w.want("keys", []string(nil), w.started()[0].hasKeys())
				w.logged(c.logged)
				w.want("sealed", c.sealed, w.keeper.has())
			})
		})
	}
}

func TestSealingFails(t *testing.T) {
	runWith(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		w.keeper.err = errors.New("TPM in lockout")
	}, func(w *world) {
		w.want("alarm", "TPM in lockout", w.r.Status().SealError)
		w.want("unsealed", "TPM in lockout", w.r.Status().Unsealed)
		time.Sleep(10 * resync)
		w.settle()
		if n := strings.Count(w.log.String(), "TPM in lockout"); n != 1 {
			w.t.Errorf("told %d times:\n%s", n, w.log.String())
		}
		if w.keeper.saves < 5 {
			w.t.Errorf("tried %d times in %v", w.keeper.saves, 10*resync)
		}
		w.keeper.mu.Lock()
		w.keeper.err = nil
		w.keeper.mu.Unlock()
		time.Sleep(2 * resync)
		w.settle()
		w.want("sealed", []string{k1Kept + ": 11"}, w.keeper.has())
		w.want("alarm", "", w.r.Status().SealError)
		w.logged("keys are sealed again")
	})
}

// Keys that come while others are being sealed are sealed as soon as that is
// done: traffic moves to them meanwhile.
func TestKeysWhileSealing(t *testing.T) {
	runWith(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		w.keeper.takes = time.Second
	}, func(w *world) {
		w.sources["k1"].set(keys(32, 0x11, 0x12), true)
		w.settle()
		w.want("sealed, while it is being done", []string(nil), w.keeper.has())
		w.want("unsealed", "sealing them has not ended yet", w.r.Status().Unsealed)
		w.want("alarm", "", w.r.Status().SealError)
		time.Sleep(w.keeper.takes + w.keeper.takes/2) // the first Save has ended, the next has not
		w.want("unsealed, while the next Save runs", "sealing them has not ended yet", w.r.Status().Unsealed)
		time.Sleep(w.keeper.takes)
		w.want("unsealed", "", w.r.Status().Unsealed)
		w.want("sealed", []string{k1Kept + ": 11 12"}, w.keeper.has())
	})
}

// The time that is sealed goes on, so that a clock that starts anew is noticed.
func TestSealedTimeGoesOn(t *testing.T) {
	runWith(t, newMachine("eth1"), portLine("a", "eth1", ""), func(*world) {}, func(w *world) {
		saves := w.keeper.count()
		time.Sleep(10 * stamp)
		w.settle()
		if age := time.Since(w.keeper.at()); age > stamp+2*resync {
			w.t.Errorf("the sealed time is %v old", age)
		}
		if n := w.keeper.count() - saves; n < 9 || n > 10 {
			w.t.Errorf("sealed %d times in %v", n, 10*stamp)
		}
	})
}

// A clock that is earlier than the sealed time and that nobody has set does
// not take the keys away; one that has been set is trusted.
func TestClockBehind(t *testing.T) {
	start := func() (*keychain.Keychain, error) {
		c, _ := keys(32, 0x41, 0x42)()
		sealed := time.Now()
		c.Keys[0].NotBefore = sealed.Add(-time.Hour)
		c.Keys[1].NotBefore, c.Keys[1].Expires = sealed.Add(-100*time.Hour), sealed.Add(-50*time.Hour)
		return c, nil
	}
	var set atomic.Bool
	runWith(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		w.keeper.kept = kept(t, time.Now(), start)
		load, _ := start()
		w.sources["k1"].load = func() (*keychain.Keychain, error) { return load.Clone(), nil }
		w.clock = func() (time.Time, bool) { return time.Now().Add(-80 * time.Hour), set.Load() }
	}, func(w *world) {
		s := w.started()[0]
		w.want("keys while the clock is behind", []string{"41/32"}, s.hasKeys())
		w.logged("the clock is earlier than when keys were sealed")
		if w.r.Status().ClockHeld == nil {
			w.t.Error("status says nothing of the clock")
		}
		if w.keeper.at().Before(time.Now().Add(-time.Hour)) {
			w.t.Errorf("the sealed time went back to %v", w.keeper.at())
		}
		set.Store(true) // by somebody who knows: it is 80 hours ago
		time.Sleep(2 * resync)
		w.settle()
		w.want("keys by a clock that was set", []string{"42/32"}, s.hasKeys())
		w.logged("the clock is trusted again")
		if w.r.Status().ClockHeld != nil {
			w.t.Error("status still holds the clock")
		}
	})
}

// A keychain that is yet to be read does not refuse a reload.
func TestReloadWhilePending(t *testing.T) {
	run(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		w.sources["k2"].set(pending, false)
		w.reload(strings.Replace(portLine("a", "eth1", ""), "keychain: k1", "keychain: k2", 1))
		w.want("errors", []string(nil), w.r.Status().Reload)
		w.sources["k2"].set(keys(32, 0x22), true)
		w.settle()
		w.want("keys", []string{"22/32"}, w.started()[0].hasKeys())
	})
}

// A reload that changes how a vault is asked, while it is away, takes no keys
// away: neither those in use, nor those that are sealed; and none that were
// retired since the start come back.
func TestReloadWhileVaultAway(t *testing.T) {
	const vaultKept = "k1 azure-key-vault https://v.vault.azure.net a c "
	ports := portLine("a", "eth1", "") + strings.Replace(portLine("b", "eth2", ""), "k1", "k2", 1)
	for name, sealed := range map[string]bool{"nothing sealed before": false, "old keys sealed before": true} {
		t.Run(name, func(t *testing.T) {
			ask := func(w *world, poll string) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.file = strings.Replace(header, "k1: {source: file, path: /k1}", "k1: {source: azure-key-vault, vault: https://v.vault.azure.net, cak: a, ckn: c, credential: {type: managed-identity}, poll: "+poll+"}", 1) + ports
			}
			runWith(t, newMachine("eth1", "eth2"), ports, func(w *world) {
				ask(w, "5m")
				if sealed {
					c, _ := keys(32, 0x31)()
					w.keeper.kept = Kept{Time: time.Now(), Keychains: map[string]*keychain.Keychain{vaultKept: c}}
				}
				w.sources["k1"].load = keys(32, 0x32)
			}, func(w *world) {
				w.want("sealed", []string{vaultKept + ": 32", "k2 file /k2: 22"}, w.keeper.has())
				w.want("sealed keys that are held beside those in use", 0, len(w.r.kept.loaded))
				w.sources["k1"].set(pending, false)
				ask(w, "10m")
				w.r.Reload()
				w.settle()
				w.want("errors", []string(nil), w.r.Status().Reload)
				w.want("keys", []string{"32/32"}, w.started()[0].hasKeys())
				w.want("keys in the status", 1, len(w.r.Status().Keychains[0].Keys))
				time.Sleep(2 * stamp) // and it is sealed again
				w.settle()
				w.want("sealed", []string{vaultKept + ": 32", "k2 file /k2: 22"}, w.keeper.has())
			})
		})
	}
}

// Keys that were sealed of a vault spelt otherwise, as an earlier release kept
// them, are its keys.
func TestSealedOfVaultSpeltOtherwise(t *testing.T) {
	const is = "k1 azure-key-vault https://v.vault.azure.net a c "
	for name, was := range map[string]string{
		"as spelt": "k1 azure-key-vault https://V.vault.azure.net/ A c ", "of another release and spelling": "k1 azure-key-vault https://v.vault.azure.net:443 a C ", "as now": is,
	} {
		t.Run(name, func(t *testing.T) {
			ports := portLine("a", "eth1", "")
			runWith(t, newMachine("eth1"), ports, func(w *world) {
				w.file = strings.Replace(header, "k1: {source: file, path: /k1}", "k1: {source: azure-key-vault, vault: https://V.vault.azure.net/, cak: A, ckn: c, credential: {type: managed-identity}}", 1) + ports
				c, _ := keys(32, 0x31)()
				w.keeper.kept = Kept{Time: time.Now(), Keychains: map[string]*keychain.Keychain{was: c}}
				w.sources["k1"].load = pending
			}, func(w *world) {
				w.want("keys", []string{"31/32"}, w.started()[0].hasKeys())
				time.Sleep(2 * stamp)
				w.settle()
				w.want("sealed", []string{is + ": 31"}, w.keeper.has())
			})
		})
	}
}

func TestRenameKept(t *testing.T) {
	const now = "k1 azure-key-vault https://v.vault.azure.net a c "
	old, _ := keys(32, 0x31)()
	newer, _ := keys(32, 0x32)()
	file, _ := keys(32, 0x33)()
	k := Kept{Keychains: map[string]*keychain.Keychain{now: newer, "k1 azure-key-vault https://V.vault.azure.net a c ": old, "k1 file /A b c d": file}}
	k.rename()
	if len(k.Keychains) != 2 || k.Keychains[now] != newer || k.Keychains["k1 file /A b c d"] != file {
		t.Errorf("kept %v", slices.Collect(maps.Keys(k.Keychains)))
	}
}

// The end waits for the keys to be sealed while MKA goes on: peers count a
// session's silence.
func TestEndSealsBeforeSessionsLeave(t *testing.T) {
	runWith(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		w.keeper.takes = 5 * time.Second
	}, func(w *world) {
		s := w.started()[0]
		ended := make(chan struct{})
		go func() { defer close(ended); w.stop() }()
		time.Sleep(w.keeper.takes / 2)
		s.mu.Lock()
		w.want("suspended or closed while keys are being sealed", false, s.suspended || s.closed)
		s.mu.Unlock()
		<-ended
		w.want("closed", true, s.closed)
		w.want("sealed", []string{k1Kept + ": 11"}, w.keeper.has())
	})
}
