package reconcile

import (
	"slices"
	"strings"
	"testing"
)

// A must-secure port is guarded when it has its filter, before it comes up; another
// is unguarded last.
func TestGuardOrder(t *testing.T) {
	run(t, newMachine("eth1", "eth2"), portLine("a", "eth1", "")+portLine("b", "eth2", ", secure: should"), func(w *world) {
		w.machine.mu.Lock()
		defer w.machine.mu.Unlock()
		at := func(prefix string) int {
			i := slices.IndexFunc(w.machine.order, func(s string) bool { return strings.HasPrefix(s, prefix) })
			if i < 0 {
				t.Fatalf("no %q in %q", prefix, w.machine.order)
			}
			return i
		}
		for _, c := range [][2]string{{"filter eth1", "guard eth1 true"}, {"guard eth1 true", "set eth1 up"}, {"count frames on eth2", "guard eth2 false"}} {
			if at(c[0]) > at(c[1]) {
				t.Errorf("%q is after %q in %q", c[0], c[1], w.machine.order)
			}
		}
	})
}
