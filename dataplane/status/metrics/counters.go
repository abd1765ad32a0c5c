package metrics

import (
	"maps"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/dataplane/status"
)

var (
	secyIn       = counter("secy_in_packets_total", "Frames that the SecY received, by what became of them: the InPkts counters of IEEE 802.1AE-2018 10.7.", "port", "result")
	secyOut      = counter("secy_out_packets_total", "Frames that the SecY was given to send, by what became of them: the OutPkts counters of IEEE 802.1AE-2018 10.7.", "port", "result")
	secyInBytes  = counter("secy_in_bytes_total", "Octets of frames that passed the SecY inward: decrypted, or validated where integrity only.", "port", "protection")
	secyOutBytes = counter("secy_out_bytes_total", "Octets of frames that the SecY protected: encrypted, or protected where integrity only.", "port", "protection")

	mkpdusIn      = counter("mkpdus_received_total", "MKPDUs received, whatever became of them.", "port")
	mkpdusOut     = counter("mkpdus_sent_total", "MKPDUs sent.", "port")
	mkpdusNotSent = counter("mkpdus_not_sent_total", "MKPDUs that the device did not take.", "port")
	mkpdusRefused = counter("mkpdus_refused_total", "MKPDUs received and not used, by what is wrong with them.", "port", "reason")

	saksDistributed = counter("saks_distributed_total", "SAKs that this end distributed as key server.", "port")
	saksReceived    = counter("saks_received_total", "SAKs that were received from a key server.", "port")
	saksRefused     = counter("saks_refused_total", "SAKs that were received and refused.", "port")
	changesFailed   = counter("sa_changes_failed_total", "Changes of SAs that the SecY refused.", "port")
)

// counted is where a port's counter stands: in a family, with the label that
// comes after the port's; empty: there is none.
type counted struct {
	in    family
	label string
}

// malformed is what the names of counters of malformed MKPDUs begin with, a
// counter for each thing that can be wrong. total is their sum, which is not
// told beside them.
const malformed, total = "mkpdus_malformed_", "mkpdus_malformed"

// byName are the counters of a port by their names in its status.
var byName = map[string]counted{
	"in_pkts_ok":           {secyIn, "ok"},
	"in_pkts_unchecked":    {secyIn, "unchecked"},
	"in_pkts_delayed":      {secyIn, "delayed"},
	"in_pkts_invalid":      {secyIn, "invalid"},
	"in_pkts_late":         {secyIn, "late"},
	"in_pkts_not_valid":    {secyIn, "not_valid"},
	"in_pkts_not_using_sa": {secyIn, "not_using_sa"},
	"in_pkts_unused_sa":    {secyIn, "unused_sa"},
	"in_pkts_untagged":     {secyIn, "untagged"},
	"in_pkts_no_tag":       {secyIn, "no_tag"},
	"in_pkts_bad_tag":      {secyIn, "bad_tag"},
	"in_pkts_unknown_sci":  {secyIn, "unknown_sci"},
	"in_pkts_no_sci":       {secyIn, "no_sci"},
	"in_pkts_overrun":      {secyIn, "overrun"},
	"in_octets_validated":  {secyInBytes, "validated"},
	"in_octets_decrypted":  {secyInBytes, "decrypted"},
	"out_pkts_protected":   {secyOut, "protected"},
	"out_pkts_encrypted":   {secyOut, "encrypted"},
	"out_pkts_untagged":    {secyOut, "untagged"},
	"out_pkts_too_long":    {secyOut, "too_long"},
	"out_octets_protected": {secyOutBytes, "protected"},
	"out_octets_encrypted": {secyOutBytes, "encrypted"},
	"mkpdus_received":      {in: mkpdusIn},
	"mkpdus_sent":          {in: mkpdusOut},
	"mkpdus_not_sent":      {in: mkpdusNotSent},
	"mkpdus_unknown_ckn":   {mkpdusRefused, "unknown_ckn"},
	"mkpdus_icv_bad":       {mkpdusRefused, "icv_bad"},
	"mkpdus_replayed":      {mkpdusRefused, "replayed"},
	"mkpdus_own_mi":        {mkpdusRefused, "own_mi"},
	"mkpdus_duplicate_sci": {mkpdusRefused, "duplicate_sci"},
	// One whose sender has no place in the list of peers.
	"mkpdus_peer_list_full": {mkpdusRefused, "peer_list_full"},
	"saks_distributed":      {in: saksDistributed},
	"saks_received":         {in: saksReceived},
	"saks_refused":          {in: saksRefused},
	"sa_changes_failed":     {in: changesFailed},
}

// find is where a port's counter of that name stands.
func find(name string) (c counted, ok bool) {
	if kind, is := strings.CutPrefix(name, malformed); is {
		return counted{mkpdusRefused, "malformed_" + kind}, true
	}
	c, ok = byName[name]
	return c, ok
}

// Tells reports whether a port's counter of that name is in a scrape, by
// itself or in a sum.
func Tells(name string) bool {
	_, ok := find(name)
	return ok || name == total
}

func (w scrape) counters(p *status.Port) {
	for _, name := range slices.Sorted(maps.Keys(p.Counters)) {
		c, ok := find(name)
		if !ok {
			continue
		}
		labels := []string{p.Name}
		if c.label != "" {
			labels = append(labels, c.label)
		}
		w.put(c.in, float64(p.Counters[name]), labels...)
	}
}
