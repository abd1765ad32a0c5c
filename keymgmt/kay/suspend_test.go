package kay_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/keymgmt/kay/kaytest"
	"github.com/linkseal/linkseal/keymgmt/mka"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// both starts two on one wire, and waits until they have had time to settle.
func both(t *testing.T, a, b *station, wire *kaytest.Wire) {
	a.start(t, 1, wire.Join(), key(1, 7))
	b.start(t, 2, wire.Join(), key(1, 7))
	time.Sleep(5 * time.Second)
	synctest.Wait()
}

// TestSuspend: the peer confirms at once, and waits a hundred seconds; then both
// are on a fresh SAK.
func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wire kaytest.Wire
		var a, b station
		both(t, &a, &b, &wire)
		before, _ := a.secy.Encodes()
		start := time.Now()
		if err := b.kay.Suspend(); err != nil || time.Since(start) > 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		b.kay.Close()
		if !strings.Contains(b.log.String(), "its peers keep the SAs for 1m50s") {
			t.Error(b.log.String())
		}
		time.Sleep(100 * time.Second)
		synctest.Wait()
		if tx, ok := b.secy.Encodes(); !ok || tx.Key != before.Key {
			t.Error("the SecY of the one that is away has changed")
		}
		s, ok := a.kay.Status()
		if tx, _ := a.secy.Encodes(); !ok || !s.Secured || tx.Key != before.Key || !s.MKA.Participants[0].Peers[0].Suspended {
			t.Fatalf("%+v\n%s", s, a.log.String())
		}
		b.start(t, 2, wire.Join(), key(1, 7))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		after, _ := a.secy.Encodes()
		mine, _ := b.secy.Encodes()
		if after.Key == before.Key || mine.Key != after.Key || a.state() != sa.Secured {
			t.Errorf("%v, then %v and %v", before.Key, after.Key, mine.Key)
		}
		if s, _ := a.kay.Status(); s.MKA.Participants[0].Peers[0].Suspended {
			t.Error("the suspension has no end")
		}
		a.kay.Close()
		b.kay.Close()
	})
}

// TestSuspendUnheard: a peer that is there and does not answer costs a second,
// one that is not there nothing.
func TestSuspendUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wire kaytest.Wire
		var a, b station
		both(t, &a, &b, &wire)
		a.kay.Close()
		start := time.Now()
		b.kay.Suspend()
		if took := time.Since(start); took != time.Second {
			t.Errorf("no answer: %v", took)
		}
		if !strings.Contains(b.log.String(), "not all peers have confirmed it") {
			t.Error(b.log.String())
		}
		var c station
		c.start(t, 3, wire.Join(), key(1, 7))
		time.Sleep(5 * time.Second)
		start = time.Now()
		c.kay.Suspend()
		if took := time.Since(start); took != 0 {
			t.Errorf("alone: %v", took)
		}
	})
}

// TestSuspendWhileSaving: a stop in the middle of an installation that waits for
// the store. The SA is not installed; what was to be saved is.
func TestSuspendWhileSaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wire kaytest.Wire
		var a, b station
		both(t, &a, &b, &wire)
		before := b.table()
		b.store.Slow(10 * time.Second)
		for _, s := range []*station{&a, &b} {
			s.kay.SetKeys([]mka.Key{key(2, 8), key(1, 7)})
		}
		time.Sleep(500 * time.Millisecond) // b saves the key identifier of a's SAK
		b.kay.Suspend()
		if after := b.table(); len(after.Tx) != len(before.Tx) || len(after.Rx) != len(before.Rx) {
			t.Errorf("%+v, then %+v", before, after)
		}
		if saved, _ := b.store.Load(); strings.Count(string(saved), `"kn"`) < 3 {
			t.Errorf("saved %s", saved)
		}
		time.Sleep(60 * time.Second)
		b.store.Slow(0)
		b.start(t, 2, wire.Join(), key(2, 8), key(1, 7))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		s, _ := b.kay.Status()
		if x, y := a.table(), b.table(); len(x.Tx) != 1 || len(y.Tx) != 1 || x.Tx[0].Key != y.Tx[0].Key || !s.MKA.Participants[0].Principal {
			t.Errorf("%+v, %+v", x, y)
		}
		a.kay.Close()
		b.kay.Close()
	})
}

func (s *station) table() (t sa.Table) {
	s.secy.Observe(&t)
	return t
}

// TestIdle: a KaY that works is at no thing for long, one whose SecY does not return
// is, and one that has ended is at nothing.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wire kaytest.Wire
		var a, b station
		both(t, &a, &b, &wire)
		for range 100 {
			time.Sleep(97 * time.Millisecond)
			if d := a.kay.Idle(); d > 250*time.Millisecond {
				t.Fatalf("at one thing for %v", d)
			}
		}
		release := a.secy.Hold()
		time.Sleep(time.Minute)
		if d := a.kay.Idle(); d < 59*time.Second {
			t.Errorf("its SecY has not answered for a minute, and it says %v", d)
		}
		release()
		synctest.Wait()
		if d := a.kay.Idle(); d > 250*time.Millisecond {
			t.Errorf("its SecY answers, and it is at one thing for %v", d)
		}
		a.kay.Close()
		b.kay.Close()
		time.Sleep(time.Minute)
		if d := a.kay.Idle(); d != 0 {
			t.Errorf("it has ended, and is at one thing for %v", d)
		}
	})
}
