package kay_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/keymgmt/kay"
	"github.com/linkseal/linkseal/keymgmt/kay/kaytest"
	"github.com/linkseal/linkseal/keymgmt/mka"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

type station struct {
	secy  kaytest.SecY
	store kaytest.Store
	log   syncBuffer
	kay   *kay.KaY
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func (s *station) start(t *testing.T, id byte, conn kay.EAPOL, keys ...mka.Key) {
	t.Helper()
	k, err := kay.Start(kay.Config{Port: "link1", Log: slog.New(slog.NewTextHandler(&s.log, nil)), MKA: mka.Config{
		SCI: sa.NewSCI([6]byte{2, 0, 0, 0, 0, id}, 1), Priority: 16, Hello: mka.DefaultHello, Life: mka.DefaultLife,
		Suite: sa.GCMAESXPN256, Encrypt: true, Destination: mkpdu.GroupAddress, EtherType: mkpdu.EtherType, Rand: rand.Reader,
	}}, conn, &s.secy, &s.store)
	if err != nil {
		t.Fatal(err)
	}
	s.kay = k
	k.SetKeys(keys)
}

func key(ckn, cak byte) mka.Key {
	return mka.Key{CKN: []byte{ckn}, CAK: secret.New(bytes.Repeat([]byte{cak}, 32))}
}

func (s *station) state() sa.ControlledPort { p, _ := s.secy.Port(); return p }

func TestPairRestartAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wire kaytest.Wire
		var a, b station
		a.start(t, 1, wire.Join(), key(1, 7))
		b.start(t, 2, wire.Join(), key(1, 7))
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if a.state() != sa.Secured || b.state() != sa.Secured {
			t.Fatalf("a %v, b %v\n%s", a.state(), b.state(), a.log.String())
		}
		before, _ := a.secy.Encodes()
		if err := b.kay.Close(); err != nil {
			t.Fatal(err)
		}
		if _, ok := b.kay.Status(); ok {
			t.Error("a stopped KaY answers")
		}
		if tx, ok := b.secy.Encodes(); !ok || tx.Key != before.Key || b.state() != sa.Secured {
			t.Error("stopping took the SAs away")
		}
		time.Sleep(time.Second)
		b.start(t, 2, wire.Join(), key(1, 7))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		after, _ := a.secy.Encodes()
		mine, _ := b.secy.Encodes()
		if after.Key == before.Key || mine.Key != after.Key || a.state() != sa.Secured {
			t.Errorf("no fresh SAK after the restart: %v, %v, %v", before.Key, after.Key, mine.Key)
		}
		if s, _ := a.kay.Status(); s.Reason != "" || !s.MKA.Secured || len(s.Table.Tx) != 1 {
			t.Errorf("status %+v", s)
		}
		a.kay.Close()
		b.kay.Close()
		if all := a.log.String() + b.log.String(); strings.Contains(all, "0707") {
			t.Error("key octets in the log")
		}
	})
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		name   string
		peer   func(t *testing.T, s *station, w *kaytest.Wire)
		expect string
	}{
		{"nobody", func(*testing.T, *station, *kaytest.Wire) {}, "no MKPDU received"},
		{"cak", func(t *testing.T, s *station, w *kaytest.Wire) { s.start(t, 2, w.Join(), key(1, 8)) }, "the CAKs differ"},
		{"ckn", func(t *testing.T, s *station, w *kaytest.Wire) { s.start(t, 2, w.Join(), key(2, 7)) }, "under CKN 02, which is not in the keychain"},
		{"deaf", func(t *testing.T, s *station, w *kaytest.Wire) { s.start(t, 2, deaf{w.Join()}, key(1, 7)) }, "is heard but does not list us"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var wire kaytest.Wire
				var a, b station
				a.start(t, 1, wire.Join(), key(1, 7))
				c.peer(t, &b, &wire)
				time.Sleep(8 * time.Second)
				synctest.Wait()
				s, ok := a.kay.Status()
				if !ok || !strings.Contains(s.Reason, c.expect) || a.state() != sa.Unsecured {
					t.Errorf("state %v, reason %q", a.state(), s.Reason)
				}
				a.kay.Close()
				if b.kay != nil {
					b.kay.Close()
				}
			})
		})
	}
}

// deaf is a socket that hears nothing.
type deaf struct{ *kaytest.End }

func (d deaf) ReadBatch(frames [][]byte) (int, error) {
	for {
		if n, err := d.End.ReadBatch(frames); err != nil {
			return n, err
		}
	}
}

// flaky fails a few times before it works.
type flaky struct {
	*kaytest.End
	mu    sync.Mutex
	fails int
}

func (f *flaky) ReadBatch(frames [][]byte) (int, error) {
	f.mu.Lock()
	fail := f.fails > 0
	f.fails--
	f.mu.Unlock()
	if fail {
		return 0, errors.New("network is down")
	}
	return f.End.ReadBatch(frames)
}

func TestSurvivesReadErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wire kaytest.Wire
		var a, b station
		a.start(t, 1, &flaky{End: wire.Join(), fails: 7}, key(1, 7))
		b.start(t, 2, wire.Join(), key(1, 7))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if a.state() != sa.Secured || strings.Count(a.log.String(), "network is down") != 1 {
			t.Errorf("%v\n%s", a.state(), a.log.String())
		}
		a.kay.Close()
		b.kay.Close()
	})
}

func TestUnreadableStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, torn := range []string{"{", `{"version":2}`, `{"version":1,"used":[{"mi":"zz"}]}`, `{"version":1,"sas":[{"mi":"00","kn":1}]}`} {
			var wire kaytest.Wire
			var a station
			a.store.Save([]byte(torn))
			a.start(t, 1, wire.Join(), key(1, 7))
			a.kay.Close()
			if !strings.Contains(a.log.String(), "starting without it") {
				t.Errorf("%s: %s", torn, a.log.String())
			}
		}
	})
}

// TestControlledPortRefused: a port that cannot be secured is not called so,
// and is tried again; and what somebody else does to it does not last.
func TestControlledPortRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wire kaytest.Wire
		var a, b station
		a.start(t, 1, wire.Join(), key(1, 7))
		synctest.Wait()
		a.secy.FailPort(errors.New("no buffer"))
		b.start(t, 2, wire.Join(), key(1, 7))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if st, _ := a.kay.Status(); st.Secured || !st.MKA.Secured || !strings.Contains(st.Reason, "no buffer") {
			t.Errorf("%+v", st)
		}
		if n := strings.Count(a.log.String(), "no buffer"); n != 1 {
			t.Errorf("told %d times", n)
		}
		a.secy.FailPort(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if st, _ := a.kay.Status(); !st.Secured || a.state() != sa.Secured {
			t.Errorf("%+v, port %v", st, a.state())
		}
		a.secy.SetControlledPort(sa.Clear)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if a.state() != sa.Secured {
			t.Errorf("port %v after somebody opened it", a.state())
		}
		a.kay.Close()
		b.kay.Close()
	})
}

// TestUnwritableStore: the link is secured, the alarm is raised once, and what
// could not be saved is saved when it can be.
func TestUnwritableStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wire kaytest.Wire
		var a, b station
		a.store.Fail(errors.New("read-only file system"))
		both(t, &a, &b, &wire)
		st, _ := a.kay.Status()
		if a.state() != sa.Secured || st.StateError != "read-only file system" || strings.Count(a.log.String(), "read-only file system") != 1 {
			t.Errorf("%v, %q\n%s", a.state(), st.StateError, a.log.String())
		}
		a.store.Fail(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if st, _ = a.kay.Status(); st.StateError != "" {
			t.Errorf("state error %q after the store works", st.StateError)
		}
		if saved, _ := a.store.Load(); !bytes.Contains(saved, []byte(`"an":`)) {
			t.Errorf("saved %q", saved)
		}
		a.kay.Close()
		b.kay.Close()
	})
}

var _ io.Closer = (*kay.KaY)(nil)

// A store that takes long holds up the installation of the SA that it is to
// know of, and no MKPDU.
func TestSlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wire kaytest.Wire
		var a, b station
		const slow = mka.DefaultHello + 500*time.Millisecond
		b.store.Slow(slow)
		a.start(t, 1, wire.Join(), key(1, 7))
		b.start(t, 2, wire.Join(), key(1, 7))
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		before, _ := a.kay.Status()
		time.Sleep(slow - 200*time.Millisecond)
		synctest.Wait()
		after, _ := a.kay.Status()
		if heard := after.MKA.Counters.Received - before.MKA.Counters.Received; heard == 0 {
			t.Error("no MKPDU while state is saved")
		}
		if s, ok := b.kay.Status(); !ok || len(s.Table.Rx)+len(s.Table.Tx) > 0 {
			t.Errorf("an SA was installed before it was saved: %+v", s.Table)
		}
		time.Sleep(2 * slow)
		synctest.Wait()
		if a.state() != sa.Secured || b.state() != sa.Secured {
			t.Errorf("a %v, b %v\n%s", a.state(), b.state(), b.log.String())
		}
		a.kay.Close()
		b.kay.Close()
		if saved, _ := b.store.Load(); !bytes.Contains(saved, []byte(`"an":`)) {
			t.Errorf("saved %q", saved)
		}
	})
}
