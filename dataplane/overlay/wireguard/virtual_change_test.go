package wireguard

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay/wireguard/rollover"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// pace is how far apart packets of a flow are.
var pace = map[bool]time.Duration{true: time.Millisecond, false: 50 * time.Millisecond}[soaking()]

// Here no test is parallel: what is under way beside it, on clocks that do not
// wait, would lose packets for want of time.

// bubbles runs a test over a WireGuard whose handshakes are forced, and over one
// whose are not, as the kernel's, each with a clock of its own.
func bubbles(t *testing.T, test func(*testing.T, bool)) {
	if probetest.InGuest() {
		return // the host has run it
	}
	for _, lazy := range []bool{false, true} {
		t.Run(map[bool]string{false: "forced", true: "not forced"}[lazy], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, lazy) })
		})
	}
}

// both is a pair under the PSK of id one, with traffic both ways.
func both(t *testing.T, lazy bool) (a, b *desktop, flows []*flow) {
	t.Helper()
	p := newPlace(t, lazy)
	a, b = p.host(t, "a", 1), p.host(t, "b", 2)
	p.open(t, a, b)
	p.open(t, b, a)
	for _, h := range []*desktop{a, b} {
		h.SetPSKs(inside(psk("one", 'x')))
	}
	a.carries(t, 0, "one", 30*time.Second)
	b.carries(t, 0, "one", 30*time.Second)
	return a, b, []*flow{startFlow(a, b, pace), startFlow(b, a, pace)}
}

// The PSK changes, the ends so far apart with it: nothing is lost. Up to 50 s it
// is done in place; beyond, by a second device where handshakes are forced.
func TestChangeVirtual(t *testing.T) {
	apart := []int{0, 10, 45, 55, 100}
	if soaking() {
		apart = []int{0, 1, 3, 10, 30, 45, 50, 55, 70, 100, 125, 170}
	}
	for i, s := range apart {
		for n, first := range []string{"a", "b"} {
			if !soaking() && n != i%2 {
				continue
			}
			t.Run(fmt.Sprintf("%s first by %d seconds", first, s), func(t *testing.T) {
				bubbles(t, func(t *testing.T, lazy bool) {
					a, b, flows := both(t, lazy)
					ends := []*desktop{a, b}
					if first == "b" {
						ends = []*desktop{b, a}
					}
					ends[0].SetPSKs(changed())
					time.Sleep(time.Duration(s) * time.Second)
					ends[1].SetPSKs(changed())
					for _, h := range ends {
						h.carries(t, 0, "two", 200*time.Second)
					}
					time.Sleep(5 * time.Second)
					for _, h := range ends {
						h.mu.Lock()
						phase, _ := h.members[0].links[0].roll.Phase()
						if phase != rollover.Settled || h.members[0].second.dev != nil {
							t.Errorf("%s is %v, its second device %v", h.name, phase, h.members[0].second.dev)
						}
						h.mu.Unlock()
					}
					if !lazy && s > 50 && !ends[0].calls {
						t.Error("more than 50 s apart, and no second device")
					}
					for _, f := range flows {
						f.end(t)
					}
				})
			})
		}
	}
}

// One PSK after the other, each proved by a handshake that is newer than both
// ends' change.
func TestManyChangesVirtual(t *testing.T) {
	bubbles(t, func(t *testing.T, lazy bool) {
		n := map[bool]int{false: 5, true: 2}[lazy]
		if soaking() {
			n = map[bool]int{false: 50, true: 10}[lazy]
		}
		a, b, flows := both(t, lazy)
		began := time.Now()
		for i := range n {
			set := time.Now()
			for _, h := range []*desktop{a, b} {
				h.SetPSKs(inside(numberedPSK(i), numberedPSK(i-1)))
			}
			for _, h := range []*desktop{a, b} {
				h.carries(t, 0, fmt.Sprint(i), 200*time.Second)
				if at := h.View().Members[0].Handshake; !at.After(set) {
					t.Fatalf("%s: change %d counts by a handshake of %v before it", h.name, i, set.Sub(at))
				}
			}
		}
		t.Logf("%d changes in %v", n, time.Since(began))
		for _, f := range flows {
			f.end(t)
		}
	})
}

func numberedPSK(i int) keychain.PSK { return psk(fmt.Sprint(i), byte('A'+(i+50)%50)) }

// A hub with three peers, each with a keychain of its own: one's changes, then
// the next one's, and none loses anything.
func TestPeersChangeVirtual(t *testing.T) {
	bubbles(t, func(t *testing.T, lazy bool) {
		p := newPlace(t, lazy)
		hub := p.host(t, "hub", 1)
		spokes := []*desktop{p.host(t, "first", 2), p.host(t, "second", 3), p.host(t, "third", 4)}
		p.open(t, hub, spokes...)
		var flows []*flow
		sets := []func(keychain.PSKSelection){
			hub.SetPSKs,
			func(s keychain.PSKSelection) { hub.SetPeerPSKs(0, s) },
			func(s keychain.PSKSelection) { hub.SetPeerPSKs(1, s) },
		}
		for i, h := range spokes {
			p.open(t, h, hub)
			h.SetPSKs(inside(numberedPSK(i)))
			sets[i](inside(numberedPSK(i)))
		}
		for i, h := range spokes {
			h.carries(t, 0, fmt.Sprint(i), 30*time.Second)
			hub.carries(t, i, fmt.Sprint(i), 30*time.Second)
			flows = append(flows, startFlow(h, hub, 10*pace), startFlow(hub, h, 10*pace))
		}
		for i, h := range spokes {
			next := func() keychain.PSKSelection { return inside(numberedPSK(i+10), numberedPSK(i)) }
			sets[i](next())
			time.Sleep(time.Duration(20*i) * time.Second) // apart by 0, 20 and 40 s
			h.SetPSKs(next())
			h.carries(t, 0, fmt.Sprint(i+10), 200*time.Second)
			hub.carries(t, i, fmt.Sprint(i+10), 200*time.Second)
			for j := range spokes {
				want := j
				if j <= i {
					want += 10
				}
				hub.carries(t, j, fmt.Sprint(want), 0)
			}
		}
		for _, f := range flows {
			f.end(t)
		}
	})
}
