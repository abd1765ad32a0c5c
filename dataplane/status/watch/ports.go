package watch

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/linkseal/linkseal/dataplane/status"
)

// octetsOf are the counters of octets that go with a SecY's counters of frames.
var octetsOf = map[string][]string{
	"in_pkts_ok":         {"in_octets_decrypted", "in_octets_validated"},
	"out_pkts_encrypted": {"out_octets_encrypted"},
	"out_pkts_protected": {"out_octets_protected"},
}

// delivered are the results of received frames that reach the machine.
var delivered = []string{"in_pkts_ok", "in_pkts_unchecked", "in_pkts_untagged"}

// ports has a row for each port.
func (v View) ports() table {
	t := table{heads: []string{"PORT", "STATE", ">FOR", "DATAPLANE", "CIPHER", "FILTER", ">IN PKT/S", ">BIT/S", ">LOST/S", ">OUT PKT/S", ">BIT/S", ">DROPPED/S"}, alarm: map[int]bool{}}
	for i := range v.Last.Status.Ports {
		p := &v.Last.Status.Ports[i]
		secy, filter := v.portRates(i)
		state, since := p.State, "-"
		if p.SecuredSince != nil {
			since = status.Age(v.Last.At.Sub(*p.SecuredSince))
		}
		if p.Passing == status.PassingClear {
			state += ", PASSING CLEAR"
		}
		t.alarm[i] = p.State != status.Secured
		var lost, dropped []string
		for name := range p.Counters {
			if strings.HasPrefix(name, "in_pkts_") && !slices.Contains(delivered, name) {
				lost = append(lost, name)
			}
		}
		for name := range p.Filter {
			if verdict, ok := strings.CutSuffix(name, "_packets"); ok && stops(verdict) {
				dropped = append(dropped, name)
			}
		}
		t.row(p.Name, state, since, p.Dataplane, p.Cipher, attached(p.Enforcement),
			short(secy.of("in_pkts_ok")), short(8*secy.of(octetsOf["in_pkts_ok"]...)), short(secy.of(lost...)),
			short(secy.of("out_pkts_encrypted", "out_pkts_protected")), short(8*secy.of("out_octets_encrypted", "out_octets_protected")),
			short(filter.of(dropped...)))
	}
	return t
}

// attached is how a filter stands: in, and out.
func attached(e *status.Enforcement) string {
	if e == nil {
		return "-"
	}
	return e.Ingress + "/" + e.Egress
}

// stops tells whether frames of a verdict of the filter, ingress_dropped for
// one, do not pass.
func stops(verdict string) bool {
	for _, passes := range []string{"macsec", "eapol", "allowed", "tunnel", "clear"} {
		if strings.HasSuffix(verdict, "_"+passes) {
			return false
		}
	}
	return true
}

// counted has a row for each counter of frames that is not 0: where, in which
// direction, and what became of them.
func (v View) counted() table {
	t := table{heads: []string{"PORT", "AT", "WAY", "VERDICT", ">PKT/S", ">BIT/S", ">PACKETS"}}
	for i := range v.Last.Status.Ports {
		p := &v.Last.Status.Ports[i]
		counters, filter := v.portRates(i)
		for _, way := range [][2]string{{"ingress_", "in"}, {"egress_", "out"}} {
			for _, name := range sorted(p.Filter, way[0]) {
				if verdict, ok := strings.CutSuffix(name, "_packets"); ok {
					t.row(p.Name, "filter", way[1], words(strings.TrimPrefix(verdict, way[0])),
						short(filter.of(name)), short(8*filter.of(verdict+"_octets")), strconv.FormatUint(p.Filter[name], 10))
				}
			}
		}
		for _, way := range [][2]string{{"in_pkts_", "in"}, {"out_pkts_", "out"}} {
			for _, name := range sorted(p.Counters, way[0]) {
				bits := unknown
				if octets := octetsOf[name]; octets != nil {
					bits = 8 * counters.of(octets...)
				}
				t.row(p.Name, "secy", way[1], words(strings.TrimPrefix(name, way[0])), short(counters.of(name)), short(bits), strconv.FormatUint(p.Counters[name], 10))
			}
		}
		for _, name := range sorted(p.Counters, "mkpdus_") {
			way, verdict := "in", words(strings.TrimPrefix(name, "mkpdus_"))
			if verdict == "sent" || verdict == "not sent" {
				way = "out"
			}
			t.row(p.Name, "mka", way, verdict, short(counters.of(name)), "-", strconv.FormatUint(p.Counters[name], 10))
		}
		if n := p.NoAccount; n != nil && n.Packets > 0 {
			t.row(p.Name, "filter", "-", "macsec, no key", "-", "-", strconv.FormatUint(n.Packets, 10))
		}
		if p.EventsLost > 0 {
			t.row(p.Name, "events", "-", "lost, not told of", "-", "-", strconv.FormatUint(p.EventsLost, 10))
		}
	}
	return t
}

// sorted are the names of the counters that begin with prefix and are not 0.
func sorted(counters map[string]uint64, prefix string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		if strings.HasPrefix(name, prefix) && counters[name] != 0 {
			names = append(names, name)
		}
	}
	return names
}
