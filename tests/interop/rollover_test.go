package interop

import (
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// rolling is a way to change the CAK by editing one keychain file after the
// other.
type rolling struct {
	name string
	edit func(t *testing.T, p *pair, first, second *lab.Appliance, old, new lab.Key)
}

var rollings = []rolling{
	{"add, then remove", func(t *testing.T, p *pair, first, second *lab.Appliance, old, new lab.Key) {
		check(t, first.WriteKeys(old, new))
		wait(t, first.Name+" to take the key", func(s status.Port) bool { return len(s.Participants) == 2 }, first)
		check(t, second.WriteKeys(old, new))
		wait(t, "both to encode under the new CKN", func(s status.Port) bool { return lab.CKN(s) == new.CKN }, p.both()...)
		check(t, second.WriteKeys(new), first.WriteKeys(new))
	}},
	{"replace", func(t *testing.T, p *pair, first, second *lab.Appliance, old, new lab.Key) {
		check(t, first.WriteKeys(new))
		wait(t, first.Name+" to take the key", func(s status.Port) bool { return len(s.Participants) == 2 }, first)
		check(t, second.WriteKeys(new))
	}},
}

// roll changes the CAK, west first or east first. It counts only when both ends
// encode under the new CKN and the old SAs and the old participant are gone.
func (p *pair) roll(t *testing.T, how rolling, westFirst bool) {
	t.Helper()
	first, second := p.east, p.west
	if westFirst {
		first, second = p.west, p.east
	}
	next := key(t, 16, 32)
	how.edit(t, p, first, second, p.key, next)
	wait(t, "the old key to be gone", func(s status.Port) bool {
		return lab.Settled(s, next.CKN) && len(s.Participants) == 1
	}, p.both()...)
	p.key = next
}

// keeps starts traffic at 5 ms between both ends, until the returned function,
// which demands that nothing was lost and that the devices are as before.
func (p *pair) keeps(t *testing.T) (x *lab.Traffic, done func() lab.Count) {
	t.Helper()
	x = traffic(t, p.west, p.east, 5*time.Millisecond)
	flows(t, x, 50)
	before := [2]string{device(t, p.west), device(t, p.east)}
	return x, func() lab.Count {
		t.Helper()
		c := x.Stop()
		if c.Lost() > 0 {
			t.Error(c)
		}
		if after := [2]string{device(t, p.west), device(t, p.east)}; after != before {
			t.Errorf("the devices were\n%s\nand are\n%s", before, after)
		}
		return c
	}
}

// TestRollover changes the CAK, either end first, under traffic.
func TestRollover(t *testing.T) {
	for _, style := range rollings {
		t.Run(style.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, lab.Options{}, lab.Port{Cipher: "gcm-aes-xpn-256"})
			p.start(t)
			sealed := wires(t, p.both()...)
			x, done := p.keeps(t)
			rounds := times(10, 1)
			for round := range rounds {
				p.roll(t, style, round%2 == 0)
				flows(t, x, 20)
			}
			c := done()
			nothingToPlan(t, p.both()...)
			sealed()
			figure(t, "CAK rollover (%s) %d times under traffic at 5 ms: %d of %d datagrams lost; ifindex, addresses and routes the same", style.name, rounds, c.Lost(), c.Sent)
		})
	}
}

// TestRolloverSupplicant measures the same change between two wpa_supplicants:
// the configurations are changed, and both are told to read them.
func TestRolloverSupplicant(t *testing.T) {
	l := newLab(t, lab.Options{Names: []string{"west", "east"}})
	var ends []*supplicant
	old, next := key(t, 16, 16), key(t, 16, 16)
	for i, a := range l.Appliances {
		s := newSupplicant(t, a)
		s.write(t, peerConf{key: old, priority: 16 + i})
		s.start(t)
		ends = append(ends, s)
	}
	x := traffic(t, l.Appliances[0], l.Appliances[1], 5*time.Millisecond)
	flows(t, x, 100)
	before := x.Count()
	for i, s := range ends {
		s.write(t, peerConf{key: next, priority: 16 + i})
		s.stop(t)
		s.launch(t)
	}
	for _, s := range ends {
		s.ready(t)
	}
	flows(t, x, 100)
	c := x.Stop()
	lost := c.Lost() - before.Lost()
	if lost == 0 {
		t.Error("nothing was lost: what was measured is no change of CAK")
	}
	figure(t, "the same with two wpa_supplicants, restarted with a new CAK: %d datagrams lost at 5 ms, %v, and their devices were deleted with addresses and routes", lost, time.Duration(lost)*5*time.Millisecond)
}
