package status

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Tagging is what a port with tags counts on its interface, where frames are in
// clear; all of it is absent on a port without.
type Tagging struct {
	// TagsBy is how the programs are attached: tcx or clsact.
	TagsBy   string    `json:"tags_by,omitempty"`
	Circuits []Circuit `json:"circuits,omitempty"` // those of the first 512 that were seen, and the rest
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

// Add adds what was counted elsewhere of the same.
func (t *Traffic) Add(o Traffic) {
	t.Packets += o.Packets
	t.Octets += o.Octets
	if t.LastSeen == nil || o.LastSeen != nil && o.LastSeen.After(*t.LastSeen) {
		t.LastSeen = o.LastSeen
	}
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

// MostCircuits is how many circuits a text shows of each interface.
const MostCircuits = 16

// Busiest are the circuits that most frames were of, at most MostCircuits, in the
// order of all, and how many are left out.
func Busiest(all []Circuit) (shown []Circuit, hidden int) {
	hidden = max(len(all)-MostCircuits, 0)
	if hidden == 0 {
		return all, 0
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(all[b].Packets, all[a].Packets) })
	for _, i := range slices.Sorted(slices.Values(order[:MostCircuits])) {
		shown = append(shown, all[i])
	}
	return shown, hidden
}

// lines are of what had traffic.
func (t Tagging) lines(line func(label, format string, args ...any), now time.Time) {
	if t.TagsError != "" {
		line("tags", "cannot be read: %s", t.TagsError)
	}
	circuits(line, "circuit", t.Circuits, now)
	for _, c := range t.Classes {
		c.Traffic.line(line, "class", c.Name, c.Direction, now)
	}
}

func circuits(line func(label, format string, args ...any), label string, all []Circuit, now time.Time) {
	shown, hidden := Busiest(all)
	for _, c := range shown {
		c.Traffic.line(line, label, c.Name(), c.Direction, now)
	}
	if hidden > 0 {
		line(label, "%d more, with fewer frames, are in --json", hidden)
	}
}

func (t Traffic) line(line func(label, format string, args ...any), label, name, direction string, now time.Time) {
	if t.LastSeen != nil {
		line(label, "%s, %s: packets %d, octets %d, %s ago", name, direction, t.Packets, t.Octets, Age(now.Sub(*t.LastSeen)))
	}
}
