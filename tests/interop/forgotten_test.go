package interop

import (
	"context"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// TestForgotten looks through all of both daemons' memory after CAKs, and with
// them SAKs, have been replaced. The kernel's SecY is given those in messages:
// nothing of what is retired is left of them either.
func TestForgotten(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{Cipher: "gcm-aes-xpn-256", Dataplane: kernel})
	saks, err := p.LearnSAKs()
	check(t, err)
	t.Cleanup(saks.Close)
	keys := []lab.Key{p.key}
	check(t, saks.Know(p.key))
	p.start(t)
	for range times(20, 1) {
		old, next := p.key, key(t, 16, 32)
		keys = append(keys, next)
		check(t, saks.Know(next), p.west.WriteKeys(old, next), p.east.WriteKeys(old, next))
		wait(t, "both to encode under the new CKN", func(s status.Port) bool { return lab.CKN(s) == next.CKN }, p.both()...)
		check(t, p.west.WriteKeys(next), p.east.WriteKeys(next))
		wait(t, "the old key to be gone", func(s status.Port) bool { return lab.Settled(s, next.CKN) && len(s.Participants) == 1 }, p.both()...)
		p.key = next
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ends := p.both()
	if !soak() { // it is a hundred megabytes each, of emulated processors
		ends = ends[:1]
	}
	for _, a := range ends {
		m, err := saks.Forgotten(ctx, a, keys, 4*(len(keys)-1)) // CAK, ICK, KEK and SAK
		check(t, err)
		figure(t, "kernel MACsec, %s: %d keys in use found in %.1f MB of memory, %d retired ones not, after %v; not looked at: %v",
			a.Name, m.Used, float64(m.Octets)/1e6, m.Retired, m.Took.Round(10*time.Millisecond), m.Unread)
	}
}
