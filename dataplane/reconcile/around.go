package reconcile

import (
	"slices"

	"github.com/linkseal/linkseal/dataplane/plan"
)

// around looks for ways around the tunnels: it is alarmed when one comes, and
// when it goes.
func (r *Reconciler) around(d plan.Desired, o plan.Observed) {
	if o.Elsewhere == nil {
		return
	}
	found := make(map[string][]string)
	for _, c := range plan.ClearRoutes(d, *o.Elsewhere, o.Fence) {
		found[c.Tunnel] = append(found[c.Tunnel], c.String())
	}
	for name, astray := range plan.Astray(d, *o.Elsewhere) {
		found[name] = append(found[name], astray)
	}
	for name, t := range r.tunnels {
		now := found[name]
		for _, c := range now {
			if !slices.Contains(t.clear, c) {
				r.log.Error("what a tunnel protects has another way", "tunnel", name, "route", c)
			}
		}
		for _, c := range t.clear {
			if !slices.Contains(now, c) {
				r.log.Info("the other way of what a tunnel protects is gone", "tunnel", name, "route", c)
			}
		}
		t.clear = now
	}
}
