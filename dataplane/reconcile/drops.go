package reconcile

import "github.com/linkseal/linkseal/dataplane/plan"

// followDrops has the events of filters that are there read. One that could
// not be set this time may be there in part, or from before.
func (r *Reconciler) followDrops(o plan.Observed) {
	if r.o.Drops == nil {
		return
	}
	ports := make(map[string]int)
	for _, p := range r.cfg.Ports {
		if l, there := o.Links[p.Device]; there && p.Must {
			ports[p.Name] = l.Index
		}
	}
	r.o.Drops.Follow(ports)
}
