package metrics

import (
	"strconv"

	"github.com/linkseal/linkseal/dataplane/status"
)

var (
	inner = circuitFamilies("circuit", "Frames at the secured interface of a port with tags, by their VLAN tags; empty: none.")
	outer = circuitFamilies("outer_circuit", "MACsec frames at the port that had VLAN tags before the SecTAG, by these; empty: no such tag.")

	classPackets = counter("class_packets_total", "Frames at the secured interface of a port with tags, by the rule that matched first; other: none did.", "port", "class", "direction")
	classBytes   = counter("class_bytes_total", "Octets of the frames of linkseal_class_packets_total, VLAN tags included and without FCS.", "port", "class", "direction")
	classSeen    = gauge("class_last_seen_timestamp_seconds", "When a frame of the class was last seen; absent: never.", "port", "class", "direction")
)

// circuitMetrics are what is told of circuits at one place.
type circuitMetrics struct{ packets, bytes, seen family }

func circuitFamilies(name, help string) circuitMetrics {
	labels := []string{"port", "circuit", "s_tag", "c_tag", "direction"}
	return circuitMetrics{
		counter(name+"_packets_total", help+" circuit=\"rest\" is of the circuits that there was no room for.", labels...),
		counter(name+"_bytes_total", "Octets of the frames of linkseal_"+name+"_packets_total, VLAN tags included and without FCS.", labels...),
		gauge(name+"_last_seen_timestamp_seconds", "When a frame of linkseal_"+name+"_packets_total was last seen.", labels...),
	}
}

func (w scrape) tagging(p *status.Port) {
	vid := func(n uint16) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(int(n))
	}
	circuits := func(to circuitMetrics, all []status.Circuit) {
		for _, c := range all {
			labels := []string{p.Name, c.Name(), vid(c.STag), vid(c.CTag), c.Direction}
			w.put(to.packets, float64(c.Packets), labels...)
			w.put(to.bytes, float64(c.Octets), labels...)
			w.at(to.seen, c.LastSeen, labels...)
		}
	}
	circuits(inner, p.Circuits)
	circuits(outer, p.OuterCircuits)
	for _, c := range p.Classes {
		labels := []string{p.Name, c.Name, c.Direction}
		w.put(classPackets, float64(c.Packets), labels...)
		w.put(classBytes, float64(c.Octets), labels...)
		w.at(classSeen, c.LastSeen, labels...)
	}
}
