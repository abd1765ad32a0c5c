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
	for _, t := range r.cfg.Tunnels {
		if l, there := o.Links[t.Device]; there && t.Must {
			ports[underlayName(t.Device)] = l.Index
		}
	}
	r.o.Drops.Follow(ports)
}

// underlayName is what the filter of a device under tunnels is followed as: it is
// one for all tunnels on it. No port has such a name.
func underlayName(device string) string { return "underlay " + device }
