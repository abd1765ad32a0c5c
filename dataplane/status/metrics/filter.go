package metrics

import (
	"maps"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/dataplane/status"
)

var (
	filterPackets = counter("filter_packets_total", "Frames at the filter of a port, by its verdict: macsec, eapol, allowed, tunnel and clear pass, the last of which is of a should-secure port; tagged, dropped, protected and eapol_limited do not pass.", "port", "direction", "verdict")
	filterBytes   = counter("filter_bytes_total", "Octets of the frames of linkseal_filter_packets_total, without FCS.", "port", "direction", "verdict")

	filterEvents   = counter("filter_events_total", "Frames that the filter of a must-secure port dropped and told of with their heads: few of many that are alike. linkseal_filter_packets_total has all.", "port", "direction", "reason")
	filterLastDrop = gauge("filter_last_event_timestamp_seconds", "When the newest frame of linkseal_filter_events_total was dropped; absent if there was none.", "port", "direction", "reason")
	filterLost     = counter("filter_events_lost_total", "Frames dropped at the filter of a must-secure port that were to be told of, and were not since there was no room.", "port")

	filterMode = gauge("filter_mode", "1 for the way in which the filter of a must-secure port is attached: to XDP in the driver (native) or in the stack (generic), to tc (tcx, clsact), or not at all (none).", "port", "direction", "mode")
	guarded    = gauge("port_guarded", "1 while sockets are refused what would transmit past the filter of a must-secure port: PACKET_QDISC_BYPASS, and AF_XDP of others than linkseal.", "port")
	refused    = counter("guard_refused_sockets_total", "Sockets that were refused in the network namespace of must-secure ports, by what they asked for: PACKET_QDISC_BYPASS (bypass), or to transmit by AF_XDP (xdp).", "request")
)

// modes are the ways to attach by direction.
var modes = map[string][]string{
	"ingress": {"native", "generic", "tcx", "clsact", "none"},
	"egress":  {"tcx", "clsact", "none"},
}

// TellsMode reports whether a filter that is attached so is told in a scrape.
func TellsMode(direction, mode string) bool { return slices.Contains(modes[direction], mode) }

// filter tells what the filter of a port counts, and how it stands.
func (w scrape) filter(p *status.Port) {
	for _, name := range slices.Sorted(maps.Keys(p.Filter)) {
		direction, rest, _ := strings.Cut(name, "_")
		if verdict, ok := strings.CutSuffix(rest, "_packets"); ok {
			w.put(filterPackets, float64(p.Filter[name]), p.Name, direction, verdict)
		} else if verdict, ok := strings.CutSuffix(rest, "_octets"); ok {
			w.put(filterBytes, float64(p.Filter[name]), p.Name, direction, verdict)
		}
	}
	if e := p.Enforcement; e != nil {
		w.oneOf(filterMode, e.Ingress, modes["ingress"], p.Name, "ingress")
		w.oneOf(filterMode, e.Egress, modes["egress"], p.Name, "egress")
		w.flag(guarded, e.Guard, p.Name)
	}
	if p.EventCounters == nil {
		return // nobody watches it
	}
	for _, name := range slices.Sorted(maps.Keys(p.EventCounters)) {
		direction, reason, _ := strings.Cut(name, "_")
		w.put(filterEvents, float64(p.EventCounters[name]), p.Name, direction, reason)
		last := p.EventLastSeen[name]
		w.at(filterLastDrop, &last, p.Name, direction, reason)
	}
	w.put(filterLost, float64(p.EventsLost), p.Name)
}

// guard tells what was refused in the namespace that the ports share: each of
// them has the same counts, one perhaps a moment older.
func (w scrape) guard(ports []status.Port) {
	most := make(map[string]uint64)
	for i := range ports {
		if e := ports[i].Enforcement; e != nil {
			for request, n := range e.Refused {
				most[request] = max(most[request], n)
			}
		}
	}
	for request, n := range most {
		w.put(refused, float64(n), request)
	}
}
