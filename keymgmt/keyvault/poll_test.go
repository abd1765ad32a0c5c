package keyvault

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/tests/azure"
)

// script is a Vault that answers what the test has it answer.
type script struct {
	Vault
	mu      sync.Mutex
	answer  func(Request) (*Answer, error)
	fetches []time.Time
}

func (s *script) Fetch(ctx context.Context, r Request) (*Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetches = append(s.fetches, time.Now())
	return s.answer(r)
}

func (s *script) set(answer func(Request) (*Answer, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *script) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fetches)
}

func failing(f *Fault) func(Request) (*Answer, error) {
	return func(Request) (*Answer, error) { return nil, f }
}

// bubble runs a source of v until the end of the test.
func bubble(t *testing.T, poll time.Duration, v Vault, do func(*Source, *journal, <-chan struct{})) {
	synctest.Test(t, func(t *testing.T) {
		j, log := newJournal()
		s := NewSource("link1", poll, v, log)
		ctx, stop := context.WithCancel(t.Context())
		tokens := s.Watch(ctx)
		synctest.Wait()
		do(s, j, tokens)
		stop()
		for range tokens {
		}
	})
}

// Out of turn means soon, but not before the vault wants, and not twice a
// second.
func TestPoll(t *testing.T) {
	good := func(Request) (*Answer, error) { return vault(t, "cak a1 pair=a", "ckn a2 pair=a"), nil }
	v := &script{answer: good}
	bubble(t, time.Hour, v, func(s *Source, j *journal, tokens <-chan struct{}) {
		for range 100 {
			s.Poll()
			synctest.Wait()
		}
		time.Sleep(gap)
		synctest.Wait()
		if n := v.count(); n != 2 {
			t.Errorf("%d polls in the first second", n)
		}
		v.set(failing(&Fault{Kind: Throttled, Text: "throttled", RetryAfter: 10 * time.Minute}))
		time.Sleep(gap)
		s.Poll()
		synctest.Wait()
		began := time.Now()
		if v.count() != 3 {
			t.Fatal("not polled out of turn")
		}
		v.set(good)
		for range 599 {
			s.Poll()
			time.Sleep(time.Second)
		}
		if v.count() != 3 {
			t.Errorf("polled %v after the vault wanted 10m", v.fetches[3].Sub(began))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if v.count() != 4 {
			t.Error("not polled when it may be")
		}
		v.set(failing(&Fault{Kind: Unreachable, Text: "down"}))
		time.Sleep(2 * time.Hour)
		n := v.count()
		s.Poll()
		synctest.Wait()
		if v.count() != n+1 {
			t.Error("an outage is not looked at out of turn")
		}
	})
}

// A vault that fails now so and now so has one outage, and each fault in it is
// told once.
func TestFlapping(t *testing.T) {
	n := 0
	v := &script{answer: func(Request) (*Answer, error) {
		n++
		return nil, &Fault{Kind: []FaultKind{Unreachable, ServerError, Throttled}[n%3], Text: fmt.Sprint("failure ", n)}
	}}
	bubble(t, time.Minute, v, func(s *Source, j *journal, tokens <-chan struct{}) {
		time.Sleep(24 * time.Hour)
		if got := j.count("level=ERROR", "there is no key yet"); got != 3 || j.count("") != 3 {
			t.Errorf("%d told:\n%s", got, j)
		}
		if r := s.Report(); len(r.Faults) != 3 || r.Failures < 300 || r.Failures != r.Polls || r.Begun[Throttled] != 1 || r.Keys != 0 || !r.LastSuccess.IsZero() {
			t.Errorf("%+v", r)
		}
		v.set(func(Request) (*Answer, error) { return vault(t, "cak a1 pair=a", "ckn a2 pair=a"), nil })
		<-tokens
		synctest.Wait()
		if r := s.Report(); len(r.Faults) != 0 || r.Keys != 1 || j.count("is over") != 3 {
			t.Errorf("%+v\n%s", r, j)
		}
	})
}

// What was sealed is in use until the vault answers, and is no change if it
// answers the same.
func TestRestored(t *testing.T) {
	lines := []string{"cak a1 pair=a", "ckn a2 pair=a"}
	first := newState("keychain link1")
	first.take(vault(t, lines...), t0)
	v := &script{answer: failing(&Fault{Kind: Unreachable, Text: "down"})}
	synctest.Test(t, func(t *testing.T) {
		j, log := newJournal()
		s := NewSource("link1", time.Minute, v, log)
		s.Restore(first.chain)
		first.zero()
		ctx, stop := context.WithCancel(t.Context())
		tokens := s.Watch(ctx)
		time.Sleep(time.Hour)
		k, err := s.Load()
		if err != nil || pairsOf(k) != "a" || !s.Report().Restored || s.Report().Keys != 1 || j.count("the last good keys stay in use") != 1 {
			t.Errorf("%s, %v, %+v\n%s", pairsOf(k), err, s.Report(), j)
		}
		asked := Request{}
		v.set(func(r Request) (*Answer, error) { asked = r; return vault(t, lines...), nil })
		time.Sleep(time.Hour)
		if r := s.Report(); r.Restored || len(asked.Have) != 2 || len(r.Faults) != 0 {
			t.Errorf("%+v, asked for all but %v", r, asked.Have)
		}
		select {
		case <-tokens:
			t.Error("the same is told as a change")
		default:
		}
		again, err := s.Load()
		if err != nil {
			t.Fatal(err)
		}
		again.Zero()
		if k.Keys[0].CAK.Len() != 16 {
			t.Error("two loads share a secret")
		}
		stop()
		for range tokens {
		}
	})
}

// The month's story in seconds, over sockets and through the helper.
func TestSockets(t *testing.T) {
	c, cfg := azureCloud(t, azure.Options{})
	put(c, "a", 1, azure.Attributes{})
	j, log := newJournal()
	s := NewSource("link1", time.Second, NewHelper(cfg), log)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	tokens := s.Watch(ctx)
	next := func() string {
		t.Helper()
		select {
		case <-tokens:
		case <-time.After(time.Minute):
			t.Fatalf("nothing new\n%s", j)
		}
		k, err := s.Load()
		if err != nil {
			t.Fatal(err)
		}
		defer k.Zero()
		return pairsOf(k)
	}
	if got := next(); got != "a" {
		t.Fatal(got)
	}
	for i, sc := range []scenario{scenarios()[0], {"throttled, briefly", func(c *azure.Cloud) func() {
		return c.Inject(azure.Fault{Op: azure.AnyVault, Effect: azure.Status(503, 0)})
	}, ServerError, true}} {
		end := sc.begin(c)
		put(c, fmt.Sprint("new", i), byte(20+i), azure.Attributes{})
		s.Poll()
		for late := time.After(time.Minute); j.count("fault="+string(sc.kind), "stay in use") == 0; {
			select {
			case <-j.wrote:
			case <-late:
				t.Fatalf("%s is not told\n%s", sc.name, j)
			}
		}
		end()
		if got := next(); !strings.Contains(got, fmt.Sprint("new", i)) || !strings.HasPrefix(got, "a") {
			t.Errorf("after %s: %s", sc.name, got)
		}
	}
	stop()
	for range tokens {
	}
	if held.MatchString(j.String()) {
		t.Errorf("the log has values:\n%s", j)
	}
}
