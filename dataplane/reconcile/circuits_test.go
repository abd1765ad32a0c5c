package reconcile

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/dataplane/status"
)

func counted(packets uint64, seconds int) status.Traffic {
	at := time.Unix(int64(seconds), 0).UTC()
	return status.Traffic{Packets: packets, Octets: 100 * packets, LastSeen: &at}
}

// A circuit that is told by its tags stays so, and one with more frames that
// comes later does not take its place.
func TestCircuitsBound(t *testing.T) {
	var k circuits
	var all []status.Circuit
	for s := range uint16(maxCircuits + 2) {
		all = append(all, status.Circuit{STag: s + 1, Direction: "ingress", Traffic: counted(uint64(s+1), int(s))})
	}
	left := k.bound("eth1", 3, all)
	want := append(all[2:len(all):len(all)], status.Circuit{Rest: true, Direction: "ingress", Traffic: counted(3, 1)})
	if d := cmp.Diff(want, left); d != "" {
		t.Errorf("the most (-want +got):\n%s", d)
	}
	all[0].Traffic = counted(1000000, 1000000)
	all = append(all, status.Circuit{STag: 3, Direction: "egress", Traffic: counted(4, 4)}, status.Circuit{Rest: true, Direction: "egress", Traffic: counted(7, 7)})
	left = k.bound("eth1", 3, all)
	want = append(all[2:len(all)-1:len(all)-1], status.Circuit{Rest: true, Direction: "ingress", Traffic: counted(1000002, 1000000)}, all[len(all)-1])
	if d := cmp.Diff(want, left); d != "" {
		t.Errorf("later (-want +got):\n%s", d)
	}
	if left = k.bound("eth1", 4, all[:1]); len(left) != 1 || left[0].Rest {
		t.Errorf("another interface of that name: %+v", left)
	}
	left = k.bound("eth2", 5, []status.Circuit{{Direction: "egress", Traffic: counted(1, 1)}, {Direction: "egress", Traffic: counted(2, 2)}})
	if d := cmp.Diff([]status.Circuit{{Direction: "egress", Traffic: counted(3, 2)}}, left); d != "" {
		t.Errorf("no tag, and a priority alone (-want +got):\n%s", d)
	}
}

// Whatever comes: none is lost or counted twice, no count goes back, and there
// are not too many.
func TestCircuitsBoundProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k circuits
		type key struct {
			tags      circuitTags
			rest      bool
			direction string
		}
		frames, before := map[key]uint64{}, map[key]uint64{}
		for range rapid.IntRange(1, 4).Draw(t, "times") {
			for range rapid.IntRange(1, 3).Draw(t, "bursts") {
				first := rapid.Uint16Range(0, 3000).Draw(t, "first")
				direction := rapid.SampledFrom([]string{"ingress", "egress"}).Draw(t, "direction")
				for i := range rapid.Uint16Range(1, 600).Draw(t, "circuits") {
					frames[key{circuitTags{first + i, i % 2}, first+i == 0 && i%2 == 0, direction}] += uint64(i%7) + 1
				}
			}
			var all []status.Circuit
			sum, got := uint64(0), uint64(0)
			for x, n := range frames {
				all = append(all, status.Circuit{STag: x.tags.s, CTag: x.tags.c, Rest: x.rest, Direction: x.direction, Traffic: counted(n, 1)})
				sum += n
			}
			by, told := map[key]uint64{}, map[circuitTags]bool{}
			for _, c := range k.bound("eth1", 3, all) {
				x := key{tagsOf(&c), c.Rest, c.Direction}
				if _, twice := by[x]; twice || c.Octets != 100*c.Packets {
					t.Fatalf("%+v", c)
				}
				by[x] = c.Packets
				got += c.Packets
				if !c.Rest {
					told[x.tags] = true
				}
			}
			if got != sum || len(told) > maxCircuits {
				t.Fatalf("%d frames of %d in %d circuits", got, sum, len(told))
			}
			for x, n := range before {
				if by[x] < n {
					t.Fatalf("%+v went back from %d to %d", x, n, by[x])
				}
			}
			before = by
		}
	})
}
