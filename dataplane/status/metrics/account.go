package metrics

import (
	"time"

	"github.com/linkseal/linkseal/dataplane/account"
	"github.com/linkseal/linkseal/dataplane/status"
)

var (
	saInfo    = gauge("sa_info", "The key of an SA that the filter counts by: its key identifier (MI/KN), and the CKN under which it was agreed on, empty if that is not known; always 1.", "port", "direction", "sci", "an", "key", "ckn")
	saSince   = gauge("sa_since_timestamp_seconds", "When the filter began to count for an SA's key, before the SA was installed.", "port", "direction", "sci", "an")
	saPackets = counter("sa_packets_total", "MACsec frames at the port of an SA's key, by the filter's count; from zero again when the AN has another key.", "port", "direction", "sci", "an")
	saBytes   = counter("sa_bytes_total", "Octets of the frames of linkseal_sa_packets_total, without FCS.", "port", "direction", "sci", "an")

	saExposedPackets = counter("sa_exposed_packets_total", "Frames that passed the port unprotected in the direction of an SA's key and since linkseal_sa_since_timestamp_seconds: where it is not must-secure (passed=\"clear\"), and of protocols that allow names (passed=\"allowed\"). EAPOL is in neither.", "port", "direction", "sci", "an", "passed")
	saExposedBytes   = counter("sa_exposed_bytes_total", "Octets of the frames of linkseal_sa_exposed_packets_total, without FCS.", "port", "direction", "sci", "an", "passed")

	saHighestPN = gauge("sa_highest_pn", "The highest PN of an SA's key that the filter saw, as SecTAGs have it: with XPN its lower 32 bits; 0: there was none.", "port", "direction", "sci", "an")
	saMissing   = gauge("sa_missing_packets", "An estimate of the frames of an SA's key that are missing: PNs that were spanned and not seen.", "port", "direction", "sci", "an")
	saLastSeen  = gauge("sa_last_frame_timestamp_seconds", "When the last frame of an SA's key was seen; absent if there was none.", "port", "direction", "sci", "an")

	portLastSeen     = gauge("port_last_macsec_timestamp_seconds", "When the last MACsec frame was seen at the port, under any key that has an SA or had one of late; absent if there was none.", "port", "direction")
	noAccountPackets = counter("no_account_packets_total", "MACsec frames at the port, in both directions, of SAs that are not there: linkseal_sa_packets_total has the others.", "port")
	noAccountBytes   = counter("no_account_bytes_total", "Octets of the frames of linkseal_no_account_packets_total, without FCS.", "port")
)

// accounts tells the SAs that are there. What ended is for a status to tell.
func (w scrape) accounts(p *status.Port) {
	type place struct {
		direction, sci string
		an             uint8
	}
	newest := make(map[place]*account.Account) // an AN has one key at a time
	for i := range p.Accounts {
		if a := &p.Accounts[i]; a.To == nil {
			newest[place{a.Direction, a.SCI, a.AN}] = a
		}
	}
	for _, a := range newest {
		w.account(p.Name, a)
	}
	for _, direction := range []string{account.Ingress, account.Egress} {
		w.at(portLastSeen, lastSeen(p.Accounts, direction), p.Name, direction)
	}
	if n := p.NoAccount; n != nil {
		w.put(noAccountPackets, float64(n.Packets), p.Name)
		w.put(noAccountBytes, float64(n.Octets), p.Name)
	}
}

func (w scrape) account(port string, a *account.Account) {
	labels := func(more ...string) []string {
		return append([]string{port, a.Direction, a.SCI, number(a.AN)}, more...)
	}
	w.put(saInfo, 1, labels(a.Key, a.CKN)...)
	w.at(saSince, &a.From, labels()...)
	w.put(saPackets, float64(a.Packets), labels()...)
	w.put(saBytes, float64(a.Octets), labels()...)
	w.put(saExposedPackets, float64(a.ClearPackets), labels("clear")...)
	w.put(saExposedBytes, float64(a.ClearOctets), labels("clear")...)
	w.put(saExposedPackets, float64(a.AllowedPackets), labels("allowed")...)
	w.put(saExposedBytes, float64(a.AllowedOctets), labels("allowed")...)
	w.put(saHighestPN, float64(a.PNHigh), labels()...)
	w.put(saMissing, float64(a.Gaps), labels()...)
	w.at(saLastSeen, a.LastSeen, labels()...)
}

// lastSeen is when the last frame of that direction was seen; nil: there was
// none.
func lastSeen(all []account.Account, direction string) (last *time.Time) {
	for i := range all {
		if t := all[i].LastSeen; all[i].Direction == direction && t != nil && (last == nil || t.After(*last)) {
			last = t
		}
	}
	return last
}
