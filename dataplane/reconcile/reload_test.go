package reconcile

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// Who waits for a reload hears when the machine is as it says, or all that is
// wrong with it.
func TestAwaitReload(t *testing.T) {
	both := portLine("a", "eth1", "") + portLine("b", "eth2", "")
	run(t, newMachine("eth1", "eth2"), portLine("a", "eth1", ""), func(w *world) {
		await := func(ports string) []string {
			w.mu.Lock()
			w.file = header + ports
			w.mu.Unlock()
			began := time.Now()
			wrong, err := w.r.AwaitReload(w.t.Context())
			if err != nil {
				t.Error(err)
			}
			w.want("time that it took", time.Duration(0), time.Since(began))
			return wrong
		}
		w.want("wrong", []string(nil), await(both))
		w.want("sessions", []string{"a", "b"}, w.open())
		wrong := await(portLine("a", "eth1", ", colour: red, shape: round"))
		if len(wrong) < 2 || !strings.Contains(wrong[0], "colour") || !strings.Contains(wrong[1], "shape") {
			t.Errorf("wrong: %q", wrong)
		}
		w.want("reload errors", wrong, w.r.Status().Reload)
		w.want("sessions", []string{"a", "b"}, w.open())
		w.want("wrong", []string(nil), await(both))
		w.want("reload errors", []string(nil), w.r.Status().Reload)
	})
}

// Many who ask while one reload goes on share the next.
func TestAwaitReloadTogether(t *testing.T) {
	run(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		release := make(chan struct{})
		w.sources["k1"].set(func() (*keychain.Keychain, error) {
			<-release
			return keys(32, 0x11)()
		}, false)
		told := make(chan error, 101)
		ask := func() {
			_, err := w.r.AwaitReload(w.t.Context())
			told <- err
		}
		go ask()
		synctest.Wait()
		for range 100 {
			go ask()
		}
		synctest.Wait()
		w.want("told before its end", 0, len(told))
		close(release)
		synctest.Wait()
		w.want("told", cap(told), len(told))
		for range cap(told) {
			if err := <-told; err != nil {
				t.Error(err)
			}
		}
		w.want("reloads", 2, strings.Count(w.log.String(), "configuration reloaded"))
	})
}

// Who asks in a loop leaves time for all else, however slow a reload is, and
// each answer is of a reload that began after it was asked for.
func TestAwaitReloadInALoop(t *testing.T) {
	for name, takes := range map[string]time.Duration{"quick": 0, "slow": 3 * between} {
		t.Run(name, func(t *testing.T) {
			run(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
				w.sources["k1"].set(func() (*keychain.Keychain, error) {
					time.Sleep(takes / 2) // a reload reads it twice
					return keys(32, 0x11)()
				}, false)
				const loop = time.Minute
				ctx, stop := context.WithTimeout(w.t.Context(), loop)
				defer stop()
				var asked, busy int
				for ctx.Err() == nil && asked < 1000 {
					asked++
					before := strings.Count(w.log.String(), "configuration reloaded")
					began := time.Now()
					if _, err := w.r.AwaitReload(ctx); err != nil {
						break // the loop is over
					}
					if strings.Count(w.log.String(), "configuration reloaded") != before+1 {
						t.Errorf("an answer of an earlier reload:\n%s", w.log.String())
					}
					if time.Since(began) < takes+between/2 {
						busy++
					}
				}
				if most := int(loop/(takes+between)) + reloadsAtOnce + 1; asked > most {
					t.Errorf("%d reloads in %s, want %d at most", asked, loop, most)
				}
				if busy > reloadsAtOnce {
					t.Errorf("%d reloads without a pause before, want %d", busy, reloadsAtOnce)
				}
				time.Sleep(reloadsAtOnce * (takes + between))
				w.settle()
				began := time.Now()
				if _, err := w.r.AwaitReload(w.t.Context()); err != nil || time.Since(began) > takes {
					t.Errorf("one after a pause took %s, %v", time.Since(began), err)
				}
			})
		})
	}
}

func TestBucket(t *testing.T) {
	var b bucket
	now := time.Unix(1e9, 0)
	for i := range reloadsAtOnce {
		if wait := b.take(now); wait != 0 {
			t.Fatalf("number %d waits %s", i, wait)
		}
	}
	if wait := b.take(now.Add(between / 4)); wait != 3*between/4 {
		t.Errorf("one more waits %s", wait)
	}
	if wait := b.take(now.Add(between)); wait != 0 {
		t.Errorf("after %s it waits %s", between, wait)
	}
	b.spent(now.Add(10 * between))
	if wait := b.take(now.Add(10 * between)); wait != between {
		t.Errorf("after a long one it waits %s", wait)
	}
}

func TestAwaitReloadOfTheDead(t *testing.T) {
	run(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		w.stop()
		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(w.t.Context(), time.Second, gone)
		defer cancel()
		if wrong, err := w.r.AwaitReload(ctx); !errors.Is(err, gone) || wrong != nil {
			t.Errorf("%q, %v", wrong, err)
		}
	})
}
