package userspace

import (
	"context"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// soonAfter is how long after the retirement of a key its octets may be found
// in memory: on a machine that has other things to do.
const soonAfter = time.Minute

// TestForgotten looks through all of both daemons' memory after SAKs and CAKs
// have been replaced, under traffic and without: what is retired is gone.
func TestForgotten(t *testing.T) {
	t.Parallel()
	for _, cipher := range []string{"gcm-aes-256", "gcm-aes-xpn-128"} {
		t.Run(cipher, func(t *testing.T) {
			t.Parallel()
			forgotten(t, cipher)
		})
	}
}

func forgotten(t *testing.T, cipher string) {
	p := newPair(t, lab.Options{}, lab.Port{Cipher: cipher, MKA: "hello: 1s, life: 3s, rekey: 3s"})
	saks, err := p.LearnSAKs()
	check(t, err)
	t.Cleanup(saks.Close)
	keys := []lab.Key{p.key}
	check(t, saks.Know(p.key))
	ports := p.start(t)
	d := sendDatagrams(t, inside(p.west), inside(p.east), 500)
	look := func(what string, retired int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), soonAfter)
		defer cancel()
		for _, a := range p.both() {
			m, err := saks.Forgotten(ctx, a, keys, retired)
			check(t, err)
			figure(t, "%s, %s, %s: %d keys in use found in %.1f MB of memory, %d retired ones not, after %v; not looked at: %v",
				cipher, what, a.Name, m.Used, float64(m.Octets)/1e6, m.Retired, m.Took.Round(10*time.Millisecond), m.Unread)
		}
	}
	look("at first", 0)

	// SAKs by their age.
	last := ports[0].Tx.Key
	for range times(20, 3) {
		last = wait(t, "a fresh SAK", func(s status.Port) bool { return s.Tx != nil && s.Tx.Key != last }, p.west)[0].Tx.Key
	}
	look("SAKs replaced under traffic", 2)
	d.end()

	// CAKs, without traffic: nothing wakes those who had the old keys in hand.
	for range times(5, 2) {
		old, next := p.key, key(t)
		check(t, saks.Know(next), p.west.WriteKeys(old, next), p.east.WriteKeys(old, next))
		keys = append(keys, next)
		wait(t, "both to encode under the new CKN", func(s status.Port) bool { return lab.CKN(s) == next.CKN }, p.both()...)
		check(t, p.west.WriteKeys(next), p.east.WriteKeys(next))
		wait(t, "the old key to be gone", func(s status.Port) bool {
			return lab.CKN(s) == next.CKN && len(s.Participants) == 1
		}, p.both()...)
		p.key = next
	}
	look("CAKs replaced without traffic", 3*len(keys))
}
