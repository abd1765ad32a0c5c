package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// Counter counts frames and their octets without FCS, since the filter was
// first attached to the device; a change of settings does not reset it.
type Counter struct {
	Packets uint64
	Octets  uint64
}

// Verdicts are the counters of one direction. A segmented (GSO) frame that is
// dropped on egress counts as the frames that it would have become.
type Verdicts struct {
	MACsec  Counter // passed; egress: and Sockets.Sent
	EAPOL   Counter // passed
	Allowed Counter // passed: a protocol of Filter.Allow
	Tunnel  Counter // passed: a tunnel's own flow, on its underlay
	Clear   Counter // passed: in clear, on a port that is not enforced
	Tagged  Counter // dropped: a VLAN tag in clear, and no MACsec behind it
	Dropped Counter // dropped: anything else
	// Protected were dropped: from or to a protected prefix, on a tunnel's
	// underlay, or it could not be told.
	Protected Counter
	// EAPOLLimited are EAPOL frames that were dropped: over the budget of who
	// sends them (Limit).
	EAPOLLimited Counter
}

// Counters are those of both directions.
type Counters struct {
	Ingress Verdicts
	Egress  Verdicts
}

// verdicts sums a map of counters over the CPUs.
func verdicts(m *ebpf.Map) (v Verdicts, err error) {
	for i, c := range map[portVerdict]*Counter{
		portVerdictMACSEC:        &v.MACsec,
		portVerdictEAPOL:         &v.EAPOL,
		portVerdictALLOWED:       &v.Allowed,
		portVerdictTUNNEL:        &v.Tunnel,
		portVerdictCLEAR:         &v.Clear,
		portVerdictTAGGED:        &v.Tagged,
		portVerdictDROPPED:       &v.Dropped,
		portVerdictPROTECTED:     &v.Protected,
		portVerdictEAPOL_LIMITED: &v.EAPOLLimited,
	} {
		var perCPU []portCounter
		if err := m.Lookup(uint32(i), &perCPU); err != nil {
			return v, fmt.Errorf("read counters: %w", err)
		}
		for _, n := range perCPU {
			c.Packets += n.Packets
			c.Octets += n.Octets
		}
	}
	return v, nil
}
