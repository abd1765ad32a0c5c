package reconcile

import (
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/linux/link"
)

// liftEvery is how often is tried whether XDP can be had by now.
const liftEvery = time.Minute

// lifted is what became of the last trial.
type lifted struct {
	index int
	when  time.Time
	why   string // it cannot; empty: it could
}

// lift has ingress of a port that is in tc go to XDP where that can be had by
// now, and else says why not.
func (k *Kernel) lift(l link.Link) (why string) {
	if last := k.lifts[l.Name]; last.index == l.Index && last.why != "" && time.Since(last.when) < liftEvery {
		return last.why
	}
	if err := k.ns.Do(func() error { return bpf.Lift(l.Index) }); err != nil {
		why = err.Error()
	}
	k.lifts[l.Name] = lifted{l.Index, time.Now(), why}
	return why
}
