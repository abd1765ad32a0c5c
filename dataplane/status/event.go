package status

import (
	"fmt"
	"strings"
	"time"
)

// Drops are the frames that a filter dropped, as far as somebody was told.
type Drops struct {
	// Events are the newest, the newest first, 16 at the most.
	Events []Event `json:"events,omitempty"`
	// EventCounters counts them by direction and reason (ingress_dropped), since
	// the daemon watches the filter, and EventsLost those that nobody was told
	// of since there was no room.
	EventCounters map[string]uint64 `json:"event_counters,omitempty"`
	EventsLost    uint64            `json:"events_lost,omitempty"`
	// EventLastSeen has when the newest was dropped, by the same names.
	EventLastSeen map[string]time.Time `json:"event_last_seen,omitempty"`
}

// Event is a frame that the filter of a must-secure port dropped. Of many that
// are alike few become events; Port.Filter counts them all. Nothing of what the
// frame carried is kept.
type Event struct {
	Time        time.Time `json:"time"`
	Direction   string    `json:"direction"` // ingress or egress
	Reason      string    `json:"reason"`    // dropped, tagged, protected, eapol_limited: its verdict
	Size        int       `json:"size"`      // octets without FCS
	Source      string    `json:"source"`
	Destination string    `json:"destination"`
	VLANs       []uint16  `json:"vlans,omitempty"` // in clear, the outer first
	EtherType   string    `json:"ethertype"`       // behind them: 0x and four digits
	// Of IPv4 and IPv6; the ports are with the addresses where there are any.
	Protocol *uint8 `json:"protocol,omitempty"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
}

func (e Event) text(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s ago, %s, %s: %s > %s", Age(now.Sub(e.Time)), e.Direction, e.Reason, e.Source, e.Destination)
	for _, v := range e.VLANs {
		fmt.Fprintf(&b, " vlan %d", v)
	}
	fmt.Fprintf(&b, " ethertype %s", e.EtherType)
	if e.Protocol != nil {
		fmt.Fprintf(&b, " protocol %d %s > %s", *e.Protocol, e.From, e.To)
	}
	return b.String()
}
