package bpf

import (
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/netns"
)

// places is how many a namespace has.
func places(t *testing.T, netns uint64) (n int) {
	t.Helper()
	err := eachGuard(func(g *guard) error {
		var p guardPlace
		var r guardRefused
		all := g.guarded.Iterate()
		for all.Next(&p, &r) {
			if p.Netns == netns {
				n++
			}
		}
		return all.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// cookie is the namespace's.
func (w *testWire) cookie(t *testing.T) (c uint64) {
	t.Helper()
	w.do(t, func() error {
		at, err := here(w.index())
		c = at.Netns
		return err
	})
	return c
}

// A namespace, or a device, that goes without Unguard is swept out with the next
// change of any.
func TestGuardSweeps(t *testing.T) {
	gone, removed, moved, detached, other := newWire(t), newWire(t), newWire(t), newWire(t), newWire(t)
	cookies := map[string]uint64{}
	for name, w := range map[string]*testWire{"namespace": gone, "device removed": removed, "device moved": moved, "filter taken off": detached} {
		if err := w.attach(t, plain, modes{}).Close(); err != nil {
			t.Fatal(err)
		}
		w.do(t, func() error { return guardHere(w.index()) })
		if cookies[name] = w.cookie(t); places(t, cookies[name]) != 2 {
			t.Fatalf("%s: %d places; want that of the namespace and of the port", name, places(t, cookies[name]))
		}
	}
	other.guard(t)
	if err := gone.ns.Close(); err != nil {
		t.Fatal(err)
	}
	removed.do(t, func() error { return netlink.LinkDel(removed.port) })
	away, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	moved.do(t, func() error { return netlink.LinkSetNsFd(moved.port, away.Fd()) })
	moved.do(t, func() error { return Unguard(moved.index() + 100) })
	detached.do(t, func() error { return Detach(detached.index()) })
	left := 0
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		other.do(t, func() error { return inPart(TryGuard()) })
		left = 0
		for _, c := range cookies {
			left += places(t, c)
		}
		if left == 0 {
			break
		}
	}
	if left > 0 {
		for name, c := range cookies {
			t.Errorf("%s: %d places stay", name, places(t, c))
		}
	}
	if n := places(t, other.cookie(t)); n != 2 {
		t.Errorf("the port that is there has %d places of 2", n)
	}
	other.do(t, func() error {
		stands, _, err := Guarded(other.index())
		if !stands {
			t.Error("the port that is there is not guarded")
		}
		return inPart(err)
	})
}
