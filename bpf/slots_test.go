package bpf

import (
	"testing"

	"pgregory.net/rapid"
)

// No counter has two SAs, none is used again while another would lose less, and
// there is one for as long as not all are in use.
func TestSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := make(slots, rapid.IntRange(1, 9).Draw(t, "counters"))
		current := map[int]bool{}
		for at := range uint64(rapid.IntRange(1, 60).Draw(t, "steps")) {
			i := rapid.IntRange(0, len(s)-1).Draw(t, "counter")
			switch rapid.SampledFrom([]string{"take", "take", "end", "settle"}).Draw(t, "step") {
			case "take":
				got, ok := s.free()
				if ok != (len(current) < len(s)-1) {
					t.Fatalf("free: %v, with %d of %d in use", ok, len(current), len(s)-1)
				}
				if !ok {
					continue
				}
				if got == 0 || current[got] {
					t.Fatalf("counter %d is in use", got)
				}
				for j := 1; j < len(s); j++ {
					if !current[j] && (worth[s[j].State] < worth[s[got].State] || s[j].State == s[got].State && s[j].Until < s[got].Until) {
						t.Fatalf("took %+v, and %+v was there", s[got], s[j])
					}
				}
				s[got] = portSaName{State: portSaStateSA_CURRENT}
				current[got] = true
			case "end":
				if current[i] {
					s[i].State, s[i].Until = portSaStateSA_ENDED, at+1
					delete(current, i)
				}
			case "settle":
				if s[i].State == portSaStateSA_ENDED {
					s[i].State = portSaStateSA_SETTLED
				}
			}
			if all := s.current(func(*portSaName) bool { return true }); len(all) != len(current) {
				t.Fatalf("%d are in use, %d are said to be", len(current), len(all))
			}
		}
	})
}
