package metrics

import (
	"maps"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/dataplane/status"
)

// events tells of a filter that is watched; of others there is nothing.
func (w scrape) events(p *status.Port) {
	if p.EventCounters == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.EventCounters)) {
		direction, reason, _ := strings.Cut(name, "_")
		w.put(filterEvents, float64(p.EventCounters[name]), p.Name, direction, reason)
	}
	w.put(filterLost, float64(p.EventsLost), p.Name)
}
