package userspace

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// calm is how long is measured without a rotation.
const calm = 2 * time.Second

// late is what a datagram may take there and back, where the slowest took that
// long without a rotation, or at the same time on the loopback device: a machine
// that does other things besides holds up both, and through the link as many
// threads again have to get their turn. What is over it the rotation did: it
// held frames back until somebody asked again, or lost some of TCP's, which are
// sent again after 200 ms or more.
func late(otherwise time.Duration) time.Duration { return 2*otherwise + 150*time.Millisecond }

// load is a pair under as much TCP as goes, datagrams, and datagrams that stay
// on west's loopback device, to compare with.
type load struct {
	*pair
	tcp      *stream
	udp, own *datagrams
	sealed   func()

	// What it was without a rotation.
	first       int
	again       int
	back, stall time.Duration
}

func newLoad(t *testing.T, mka string) *load {
	p := newPair(t, lab.Options{}, lab.Port{Cipher: "gcm-aes-xpn-256", MKA: mka})
	l := &load{pair: p, sealed: sealed(t, p)}
	p.start(t)
	l.tcp = startStream(t, p.west, p.east)
	local := place{p.west, loopback}
	l.own = sendDatagrams(t, local, local, 1000)
	l.udp = sendDatagrams(t, inside(p.west), inside(p.east), 1000)
	l.udp.flow(t, 200) // caches are warm, TCP has found its window
	l.tcp.stalled()
	l.first = l.udp.now()
	l.udp.flow(t, int(calm.Seconds()*1000))
	l.back, l.stall = l.udp.count(l.first, patience).back, l.tcp.stalled()
	l.first, l.again = l.udp.now(), l.tcp.again(t)
	return l
}

// judge ends the load and demands that nothing was lost or late.
func (l *load) judge(t *testing.T, what string) {
	t.Helper()
	stall := l.tcp.stalled()
	l.udp.end()
	l.own.end()
	own := l.own.count(0, patience)
	bound := late(max(l.back, own.back))
	c := l.udp.count(l.first, bound)
	again := l.tcp.again(t) - l.again
	octets := l.tcp.end(t)
	if c.lost+c.twice+c.wrong+c.late > 0 {
		t.Errorf("%s: %v; late is over %v: without rotation the slowest took %v, on the loopback device %v", what, c, bound, l.back, own.back)
	}
	if most := late(max(l.stall, own.back)); stall > most {
		t.Errorf("%s: the TCP stream stood for %v, more than %v: without rotation for %v, a datagram on the loopback device for %v", what, stall, most, l.stall, own.back)
	}
	l.sealed()
	for _, a := range l.both() {
		s := said(t, a)
		for _, name := range []string{"in_pkts_not_valid", "in_pkts_late", "in_pkts_delayed", "in_pkts_not_using_sa", "in_pkts_bad_tag", "in_pkts_no_sci", "in_pkts_no_tag"} {
			if n := s.Counters[name]; n > 0 {
				t.Errorf("%s: %s: %s %d", what, a.Name, name, n)
			}
		}
	}
	ms := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	figure(t, "%s under %.1f GB of TCP and %.0f datagrams a second: %d of %d lost, %d late; the slowest %v there and back (%v without, %v on lo); TCP stood %v at most (%v without), %d segments sent again (%d before); nothing in clear",
		what, float64(octets)/1e9, l.udp.rate(l.first), c.lost, c.sent, c.late, ms(c.back), ms(l.back), ms(own.back), ms(stall), ms(l.stall), again, l.again)
}

// TestRotation changes SAKs and CAKs under load.
func TestRotation(t *testing.T) {
	t.Run("SAK", testRekey)
	t.Run("CAK", testRollover)
}

// A SAK is rekeyed by its age. It counts when both ends have encoded with it,
// both encode with a later one, and it is gone from both.
func testRekey(t *testing.T) {
	l := newLoad(t, "hello: 1s, life: 6s, rekey: 6s")
	want := times(100, 5)
	var seen [2][]string // the keys that each end encoded with
	gone := 0
	before := time.Now()
	for deadline := time.Now().Add(patience); gone < want; {
		if time.Now().After(deadline) {
			t.Fatalf("no SAK was replaced within %v; %d of %d before", patience, gone, want)
		}
		var keys [2][]string // installed
		for i, a := range l.both() {
			s := said(t, a)
			if s.State != status.Secured || s.Tx == nil {
				t.Fatalf("%s: %s %s", a.Name, s.State, s.UnsecuredReason)
			}
			if n := len(seen[i]); n == 0 || seen[i][n-1] != s.Tx.Key {
				seen[i] = append(seen[i], s.Tx.Key)
			}
			keys[i] = append(keys[i], s.Tx.Key)
			for _, r := range s.Rx {
				keys[i] = append(keys[i], r.Key)
			}
		}
		n := 0
		for _, k := range seen[0] {
			if slices.Contains(seen[1], k) && !slices.Contains(keys[0], k) && !slices.Contains(keys[1], k) {
				n++
			}
		}
		if n > gone {
			gone, deadline = n, time.Now().Add(patience)
		}
		time.Sleep(50 * time.Millisecond)
	}
	took := time.Since(before)
	l.judge(t, fmt.Sprintf("%d SAK rekeys, one in %v", gone, (took/time.Duration(gone)).Round(100*time.Millisecond)))
}

// A CAK is replaced by editing the keychain files, either end first, the old
// one staying until the new one carries the traffic or not. It counts when both
// ends encode under the new CKN and nothing of the old is left.
func testRollover(t *testing.T) {
	l := newLoad(t, steady)
	want := times(100, 5)
	for round := range want {
		first, second := l.west, l.east
		if round%2 == 1 {
			first, second = second, first
		}
		old, next := l.key, key(t)
		if keep := round%4 < 2; keep {
			check(t, first.WriteKeys(old, next))
			wait(t, first.Name+" to take the key", func(s status.Port) bool { return len(s.Participants) == 2 }, first)
			check(t, second.WriteKeys(old, next))
			wait(t, "both to encode under the new CKN", func(s status.Port) bool { return lab.CKN(s) == next.CKN }, l.both()...)
		} else {
			check(t, first.WriteKeys(next))
			wait(t, first.Name+" to take the key", func(s status.Port) bool { return len(s.Participants) == 2 }, first)
		}
		check(t, second.WriteKeys(next), first.WriteKeys(next))
		wait(t, "the old key to be gone", func(s status.Port) bool {
			return lab.Settled(s, next.CKN) && len(s.Participants) == 1
		}, l.both()...)
		l.key = next
	}
	l.judge(t, fmt.Sprintf("%d CAK rollovers", want))
}
