package bpf

// slots are the counters of SAs by number, with what each is. 0 is nobody's.
type slots []portSaName

// current are the counters whose SA is there that match is true of.
func (s slots) current(match func(*portSaName) bool) (all []int) {
	for i := 1; i < len(s); i++ {
		if s[i].State == portSaStateSA_CURRENT && match(&s[i]) {
			all = append(all, i)
		}
	}
	return all
}

// free is the counter for the next key: one that no key had, else the one whose
// account has been kept elsewhere for longest, else the one that ended first.
// false: every SA that has one is there.
func (s slots) free() (int, bool) {
	best := 0
	for i := 1; i < len(s); i++ {
		if s[i].State != portSaStateSA_CURRENT && (best == 0 || s.before(i, best)) {
			best = i
		}
	}
	return best, best != 0
}

// worth is how much is lost with a counter that is used again.
var worth = [...]int{portSaStateSA_FREE: 0, portSaStateSA_SETTLED: 1, portSaStateSA_ENDED: 2}

func (s slots) before(i, j int) bool {
	a, b := &s[i], &s[j]
	if a.State != b.State {
		return worth[a.State] < worth[b.State]
	}
	return a.Until < b.Until
}
