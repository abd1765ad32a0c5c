package metrics

import (
	"strconv"

	"github.com/linkseal/linkseal/dataplane/status"
)

var (
	circuitPackets = counter("circuit_packets_total", "Frames at the secured interface of a port with tags, by their VLAN tags; empty: none. circuit=\"rest\" is of the circuits that there was no room for.", "port", "circuit", "s_tag", "c_tag", "direction")
	circuitBytes   = counter("circuit_bytes_total", "Octets of the frames of linkseal_circuit_packets_total.", "port", "circuit", "s_tag", "c_tag", "direction")
	circuitSeen    = gauge("circuit_last_seen_timestamp_seconds", "When a frame of the circuit was last seen.", "port", "circuit", "s_tag", "c_tag", "direction")
	classPackets   = counter("class_packets_total", "Frames at the secured interface of a port with tags, by the rule that matched first; other: none did.", "port", "class", "direction")
	classBytes     = counter("class_bytes_total", "Octets of the frames of linkseal_class_packets_total.", "port", "class", "direction")
	classSeen      = gauge("class_last_seen_timestamp_seconds", "When a frame of the class was last seen; absent: never.", "port", "class", "direction")
)

func (w scrape) tagging(p *status.Port) {
	vid := func(n uint16) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(int(n))
	}
	for _, c := range p.Circuits {
		labels := []string{p.Name, c.Name(), vid(c.STag), vid(c.CTag), c.Direction}
		w.put(circuitPackets, float64(c.Packets), labels...)
		w.put(circuitBytes, float64(c.Octets), labels...)
		w.at(circuitSeen, c.LastSeen, labels...)
	}
	for _, c := range p.Classes {
		labels := []string{p.Name, c.Name, c.Direction}
		w.put(classPackets, float64(c.Packets), labels...)
		w.put(classBytes, float64(c.Octets), labels...)
		w.at(classSeen, c.LastSeen, labels...)
	}
}
