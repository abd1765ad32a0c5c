package rotate

import (
	"sync"

	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

// Results counts a keychain's rotations since the start, by how they ended.
type Results struct {
	Done    uint64 // the traffic has moved
	Failed  uint64
	Refused uint64 // another owner has the keychain
}

// tally counts; it outlives a keychain's configuration.
type tally struct {
	mu sync.Mutex
	n  Results
}

// count counts a rotation that ended with phase, Done or Failed.
func (t *tally) count(phase course.Phase, owned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case phase == course.Done:
		t.n.Done++
	case owned:
		t.n.Refused++
	default:
		t.n.Failed++
	}
}

func (t *tally) results() Results {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// Results of all keychains that may be rotated, by name.
func (r *Rotator) Results() map[string]Results {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]Results)
	for name := range r.chains {
		all[name] = r.tallies[name].results()
	}
	return all
}
