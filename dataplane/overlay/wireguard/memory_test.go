package wireguard

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// Sessions that end and are opened again keep nothing: neither on the heap, nor of
// what the process has from the system.
func TestReopened(t *testing.T) {
	if probetest.InGuest() {
		return // the host has run it
	}
	probetest.Need(t, probe.TUN, probe.NetNS, probe.Veth)
	a, b := cable(t)
	a.prepare(t, kinds[0], withPSK)
	b.prepare(t, kinds[0], withPSK)
	b.open(t).SetPSKs(inside(psk("one", 'x')))
	look := func() (m runtime.MemStats) { runtime.ReadMemStats(&m); return m }
	held := func(m runtime.MemStats) int64 { return int64(m.HeapSys - m.HeapReleased) }
	var first runtime.MemStats
	const warm, rounds = 5, 20
	for i := range warm + rounds {
		if i == warm {
			runtime.GC()
			debug.FreeOSMemory()
			first = look()
		}
		s, err := Open(a.ns, a.tunnel, a.place, Options{Log: a.log})
		if err != nil {
			t.Fatal(err)
		}
		a.session = s
		s.SetPSKs(inside(psk("one", 'x')))
		if i%10 == 0 {
			a.live(t)
			a.ping(t, 5)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("at first %d KiB from the system, after %d rounds %d KiB", held(first)>>10, rounds, held(look())>>10)
	// Of itself, within seconds, it is given back.
	await(t, "the process has no more of the system than before", 20*time.Second, func() bool { return held(look())-held(first) < 16<<20 })
	debug.FreeOSMemory()
	last := look()
	t.Logf("from the system: %d KiB, then %d KiB", held(first)>>10, held(last)>>10)
	t.Logf("heap: %d KiB, then %d KiB; %d objects, then %d", first.HeapAlloc>>10, last.HeapAlloc>>10, first.HeapObjects, last.HeapObjects)
	if grown := int64(last.HeapAlloc) - int64(first.HeapAlloc); grown > 4<<20 {
		t.Errorf("after %d rounds the heap has %d KiB more", rounds, grown>>10)
	}
}
