package status

import (
	"bytes"
	"strings"
	"testing"
)

// Of many circuits a text has those that most frames were of, in their order, and
// says how many it leaves out.
func TestBusiest(t *testing.T) {
	var all []Circuit
	for i := range uint16(20) {
		all = append(all, Circuit{STag: i + 1, Direction: "ingress", Traffic: Traffic{Packets: uint64(i*7%20) + 1, LastSeen: &since}})
	}
	if shown, hidden := Busiest(all[:MostCircuits]); len(shown) != MostCircuits || hidden != 0 {
		t.Errorf("%d shown, %d hidden of %d", len(shown), hidden, MostCircuits)
	}
	shown, hidden := Busiest(all)
	if len(shown) != MostCircuits || hidden != 4 {
		t.Fatalf("%d shown, %d hidden", len(shown), hidden)
	}
	last := uint16(0)
	for _, c := range shown {
		if c.Packets <= 4 || c.STag <= last {
			t.Errorf("%+v, after S-tag %d", c, last)
		}
		last = c.STag
	}
	var b bytes.Buffer
	s := Status{Ports: []Port{{Name: "link1", Tagging: Tagging{Circuits: all}}}}
	if err := s.Write(&b, since); err != nil || strings.Count(b.String(), "\n  circuit") != MostCircuits+1 || !strings.Contains(b.String(), "4 more, with fewer frames") {
		t.Errorf("%s, %v", b.String(), err)
	}
}
