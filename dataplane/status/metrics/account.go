package metrics

import "github.com/linkseal/linkseal/dataplane/status"

var (
	saPackets  = counter("sa_packets_total", "MACsec frames at the port of an SA's key, by the filter's count; from zero again when the AN has another key.", "port", "direction", "sci", "an")
	saBytes    = counter("sa_bytes_total", "Octets of MACsec frames at the port of an SA's key, without FCS; from zero again when the AN has another key.", "port", "direction", "sci", "an")
	saMissing  = gauge("sa_missing_packets", "An estimate of the frames of an SA's key that are missing: PNs that were spanned and not seen.", "port", "direction", "sci", "an")
	saLastSeen = gauge("sa_last_frame_timestamp_seconds", "When the last frame of an SA's key was seen; absent if there was none.", "port", "direction", "sci", "an")
)

// accounts tells the SAs that are there. What ended is for a status to tell.
func (w scrape) accounts(p *status.Port) {
	type key struct {
		direction, sci string
		an             uint8
	}
	told := make(map[key]bool)
	for i := range p.Accounts {
		a := &p.Accounts[i]
		k := key{a.Direction, a.SCI, a.AN}
		if a.To != nil || told[k] {
			continue
		}
		told[k] = true
		labels := func() []string { return []string{p.Name, a.Direction, a.SCI, number(a.AN)} }
		w.put(saPackets, float64(a.Packets), labels()...)
		w.put(saBytes, float64(a.Octets), labels()...)
		w.put(saMissing, float64(a.Gaps), labels()...)
		w.at(saLastSeen, a.LastSeen, labels()...)
	}
}
