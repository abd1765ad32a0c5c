package userspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
	"github.com/linkseal/linkseal/tests/azure"
	"github.com/linkseal/linkseal/tests/kill"
	"github.com/linkseal/linkseal/tests/lab"
)

// victim is who is killed in a rotation of west's.
type victim string

const (
	daemon victim = "the daemon"
	helper victim = "its helper" // that talks to the vault
	verb   victim = "the verb"
)

// blow is a moment to kill somebody at: a call to the vault that west makes, or
// a step of west's daemon that changes its state directory.
type blow struct {
	who  victim
	call azure.Fault // From and Effect are not set; unused if step is not nil
	done bool        // when the vault has done what was asked, else before
	step func(kill.Step) bool
}

// killable is a pair with its keys in a vault that west rotates, with no hold.
// West's daemon runs under watch.
type killable struct {
	*vaulted
	udp *datagrams

	mu    sync.Mutex
	fatal func(kill.Step) bool // nil: none is
	watch *kill.Watch
}

// watched is one of which nothing runs yet. With writes each write to a file is a
// step too, which slows down what the daemon writes to its tap.
func watched(t *testing.T, port lab.Port, writes bool) *killable {
	t.Helper()
	k := &killable{vaulted: newVaulted(t, port)}
	k.west.Rotates("{every: 30d, hold: 0s}")
	check(t, k.configure(port))
	var err error
	k.watch, err = kill.NewWatch(k.west.Dir, writes, func(s kill.Step) bool {
		if s.Path != k.west.State() && !strings.HasPrefix(s.Path, k.west.State()+"/") {
			return false
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.fatal != nil && k.fatal(s)
	})
	check(t, err)
	k.west.Wrap = func(argv []string) []string {
		argv, err := k.watch.Argv(argv[0], argv[1:]...)
		check(t, err)
		return argv
	}
	t.Cleanup(func() { check(t, k.west.Stop(context.Background()), k.watch.Close()) })
	return k
}

// newKillable is one that runs, under datagrams.
func newKillable(t *testing.T, writes bool) *killable {
	t.Helper()
	k := watched(t, lab.Port{MKA: "hello: 1s, life: 6s"}, writes)
	unwatched := sealed(t, k.pair)
	k.start(t)
	k.udp = sendDatagrams(t, inside(k.west), inside(k.east), 200)
	k.udp.flow(t, 20)
	t.Cleanup(func() {
		if c := k.udp.count(0, patience); c.twice+c.wrong > 0 {
			t.Errorf("%v", c)
		}
		unwatched()
	})
	return k
}

// fated has west's daemon die before a step, or nil: of none.
func (k *killable) fated(at func(kill.Step) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fatal = at
}

// struck is what became of a blow.
type struck struct {
	at  string
	err error
}

// aim has the blow fall, once. That it falls is sent first, what it has hit when
// that is dead.
func (k *killable) aim(b blow, verbPID func() int) (falls <-chan bool, hit <-chan struck, end func()) {
	begun, all := make(chan bool, 1), make(chan struck, 1)
	if b.step != nil {
		k.fated(func(s kill.Step) bool {
			if !b.step(s) {
				return false
			}
			k.fatal = nil
			begun <- true
			all <- struck{at: s.String()} // the test waits for its end
			return true
		})
		return begun, all, func() { k.fated(nil) }
	}
	f := b.call
	f.From, f.Times = k.west.Name, 1
	f.Effect = azure.Die(b.done, func(c azure.Call) {
		begun <- true
		s := struck{at: strings.TrimSpace(string(c.Op) + " " + c.Secret)}
		switch b.who {
		case daemon:
			s.err = kill.End(k.west.Pid())
		case verb:
			s.err = kill.End(verbPID())
		case helper: // there are several at times
			n := 0
			for _, h := range kill.Children(k.west.Pid()) {
				if err := kill.End(h); err == nil {
					n++
				} else if !errors.Is(err, syscall.ESRCH) { // it has ended by itself
					s.err = errors.Join(s.err, err)
				}
			}
			if n == 0 {
				s.err = errors.Join(s.err, errors.New("the daemon has no helper"))
			}
		}
		all <- s
	})
	return begun, all, k.cloud.Inject(f)
}

// rotate runs the verb, whose process id started is told, to its end.
func (k *killable) rotate(t *testing.T, started chan<- int) (text string, ok bool) {
	t.Helper()
	cmd := k.west.NS.Command(linkseal(t), "rotate", "link1", "--config", k.west.ConfigFile())
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	check(t, cmd.Start())
	stop := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer stop.Stop()
	if started != nil {
		started <- cmd.Process.Pid
	}
	err := cmd.Wait()
	return fmt.Sprintf("%s%v", &out, err), err == nil
}

// dies rotates, with a blow, and then has the verb run again: in the end both
// ends encode under the one pair that is left. at is empty if the rotation has
// ended without the blow.
func (k *killable) dies(t *testing.T, b blow) (at string) {
	t.Helper()
	first := k.udp.now()
	pids := make(chan int, 1)
	falls, hit, end := k.aim(b, func() int { return <-pids })
	text, ok := k.rotate(t, pids)
	if ok { // the journal may not have the end yet
		eventually(t, "the rotation to end, or the blow", func() bool { return len(falls) > 0 || k.rotated(t) })
	}
	end()
	select {
	case <-falls:
		s := <-hit
		at = s.at
		check(t, s.err)
	default:
		if !ok {
			t.Fatalf("the verb has failed, and nothing was killed: %s", text)
		}
		k.judge(t)
		return ""
	}
	k.noneMixed(t)
	again := true
	switch b.who {
	case daemon:
		k.restart(t, strings.Contains(at, "sealed"))
	case helper:
		// Before it has claimed the pair a rotation fails, then it tries again.
		if again = !ok; again && !strings.Contains(text, "nothing was changed") {
			t.Fatalf("a helper was killed at %s, and the verb fails: %s", at, text)
		}
	case verb:
		if ok {
			t.Fatalf("the verb was killed at %s, and ends well: %s", at, text)
		}
	}
	if again {
		if text, ok = k.rotate(t, nil); !ok {
			t.Fatalf("%s was killed at %s, and the verb, run again, fails: %s", b.who, at, text)
		}
	}
	k.judge(t)
	t.Logf("%s killed at %s: it ended right", b.who, at)
	if b.who != daemon { // the SecY is in it
		eventually(t, fmt.Sprintf("all datagrams, with %s killed at %s", b.who, at), func() bool { return k.udp.count(first, 0).lost <= 2 })
	}
	return at
}

// restart starts west's daemon, which has died; at first without a vault if the
// sealed keys are to be what it starts with.
func (k *killable) restart(t *testing.T, fromSealed bool) {
	t.Helper()
	check(t, k.west.Kill())
	if fromSealed {
		check(t, k.cloud.Refuse(true))
	}
	check(t, k.west.Start())
	wait(t, "west to be secured again", func(s status.Port) bool { return s.State == status.Secured }, k.west)
	if fromSealed {
		if !keychain(t, k.west).Sealed {
			t.Error("west is not secured from sealed keys")
		}
		check(t, k.cloud.Refuse(false))
	}
}

// rotated tells whether west's journal says that the rotation has ended well.
func (k *killable) rotated(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(k.west.State(), "rotations", "link1.json"))
	if os.IsNotExist(err) {
		return false
	}
	check(t, err)
	s, err := course.Decode(text)
	check(t, err)
	return s.Ended() && s.Outcome == course.Done
}

// noneMixed demands that no pair in the vault has two versions of a secret, and
// returns the pairs, by their ids: the versions of CAK and CKN.
func (k *killable) noneMixed(t *testing.T) map[string][2]*azure.Version {
	t.Helper()
	pairs := map[string][2]*azure.Version{}
	for i, name := range []string{lab.CAKSecret, lab.CKNSecret} {
		s, _ := k.cloud.Secret(name)
		for _, v := range s.Versions {
			id := v.Tags["linkseal-pair"]
			p := pairs[id]
			if p[i] != nil {
				t.Fatalf("pair %s has two versions of %s", id, name)
			}
			p[i] = &v
			pairs[id] = p
		}
	}
	return pairs
}

// judge demands one whole pair in the vault under which both ends encode, all
// others disabled, and an end in the journal.
func (k *killable) judge(t *testing.T) {
	t.Helper()
	eventually(t, "the journal to have the end", func() bool { return k.rotated(t) })
	left := 0
	for id, p := range k.noneMixed(t) {
		switch {
		case p[0] == nil || p[1] == nil:
			t.Errorf("of pair %s only a half is in the vault", id)
		case p[0].Disabled != p[1].Disabled:
			t.Errorf("of pair %s only a half is disabled", id)
		case !p[0].Disabled:
			left++
			k.key = lab.Key{CAK: p[0].Value, CKN: p[1].Value}
			k.west.Uses(k.key)
			k.east.Uses(k.key)
		}
	}
	if left != 1 || t.Failed() {
		t.Fatalf("%d pairs are left in the vault", left)
	}
	k.settled(t)
}
