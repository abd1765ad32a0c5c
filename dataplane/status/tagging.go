package status

import (
	"fmt"
	"time"
)

// Tagging is what a port with tags counts on its interface, where frames are in
// clear; all of it is absent on a port without.
type Tagging struct {
	// TagsBy is how the programs are attached: tcx or clsact.
	TagsBy   string    `json:"tags_by,omitempty"`
	Circuits []Circuit `json:"circuits,omitempty"` // those that were seen
	Classes  []Class   `json:"classes,omitempty"`  // of its tags in their order, and other
	// TagsError is why they cannot be read.
	TagsError string `json:"tags_error,omitempty"`
}

// Circuit is the traffic of frames with the same VLAN tags.
type Circuit struct {
	STag      uint16 `json:"s_tag,omitempty"` // VID; absent: without S-tag
	CTag      uint16 `json:"c_tag,omitempty"` // VID; absent: without C-tag
	Rest      bool   `json:"rest,omitempty"`  // of the circuits that there was no room for
	Direction string `json:"direction"`       // ingress or egress
	Traffic
}

// Class is the traffic that one of the port's tags matched first.
type Class struct {
	Name      string `json:"name"`      // other: no rule matched
	Direction string `json:"direction"` // ingress or egress
	Traffic
}

// Traffic counts frames with their tags, without FCS; super-packets as the
// frames that they become.
type Traffic struct {
	Packets  uint64     `json:"packets"`
	Octets   uint64     `json:"octets"`
	LastSeen *time.Time `json:"last_seen"` // null: never
}

// Name is the circuit's tags: 100.10, S-tag and C-tag, of which - is none.
func (c Circuit) Name() string {
	vid := func(n uint16) string {
		if n == 0 {
			return "-"
		}
		return fmt.Sprint(n)
	}
	switch {
	case c.Rest:
		return "rest"
	case c.STag == 0 && c.CTag == 0:
		return "untagged"
	}
	return vid(c.STag) + "." + vid(c.CTag)
}

// lines are of what had traffic.
func (t Tagging) lines(line func(label, format string, args ...any), now time.Time) {
	show := func(label, name, direction string, n Traffic) {
		if n.LastSeen != nil {
			line(label, "%s, %s: packets %d, octets %d, %s ago", name, direction, n.Packets, n.Octets, age(now.Sub(*n.LastSeen)))
		}
	}
	if t.TagsError != "" {
		line("tags", "cannot be read: %s", t.TagsError)
	}
	for _, c := range t.Circuits {
		show("circuit", c.Name(), c.Direction, c.Traffic)
	}
	for _, c := range t.Classes {
		show("class", c.Name, c.Direction, c.Traffic)
	}
}
