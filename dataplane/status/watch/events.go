package watch

import (
	"fmt"
	"strings"

	"github.com/linkseal/linkseal/dataplane/status"
)

// newest is how many events of a port are shown.
const newest = 5

// events has a row for each of the newest frames that a port's filter dropped.
func (v View) events() table {
	t := table{heads: []string{"PORT", "DROPPED", "WAY", "REASON", ">OCTETS", "FROM", "TO", "TYPE", "FLOW"}}
	for _, p := range v.Last.Status.Ports {
		for _, e := range p.Events[:min(len(p.Events), newest)] {
			t.row(p.Name, v.last(&e.Time), way(e.Direction), words(e.Reason), fmt.Sprint(e.Size), e.Source, e.Destination, etherType(e), flow(e))
		}
	}
	return t
}

// etherType is an event's, behind its VLANs.
func etherType(e status.Event) string {
	var b strings.Builder
	for _, v := range e.VLANs {
		fmt.Fprintf(&b, "vlan %d ", v)
	}
	return b.String() + e.EtherType
}

// flow is an event's protocol and addresses; empty if it is not of IP.
func flow(e status.Event) string {
	if e.Protocol == nil {
		return ""
	}
	return fmt.Sprintf("protocol %d, %s > %s", *e.Protocol, e.From, e.To)
}
