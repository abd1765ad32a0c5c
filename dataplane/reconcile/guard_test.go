package reconcile

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/plan"
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

// A session is told after each look what stands at its port.
func TestEnforced(t *testing.T) {
	run(t, newMachine("eth1", "eth2"), portLine("a", "eth1", "")+portLine("b", "eth2", ", secure: should"), func(w *world) {
		told := func(i int) string {
			time.Sleep(resync + time.Second)
			w.settle()
			s := w.started()[i]
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.enforced
		}
		w.want("of a", "", told(0))
		w.want("of b", "a port with secure: should has no guard", told(1))
		w.machine.change(func() { w.machine.unguard = errors.New("this kernel has none") })
		w.want("of a, unguarded", "there is no guard: this kernel has none", told(0))
		w.machine.change(func() {
			w.machine.unguard = nil
			w.machine.refuse[plan.SetFilter] = errors.New("no")
			delete(w.machine.o.Filters, "eth1")
		})
		w.want("of a, without a filter", "the filter does not stand", told(0))
		w.machine.change(func() { delete(w.machine.refuse, plan.SetFilter) })
		w.want("of a, filtered again", "", told(0))
	})
}
