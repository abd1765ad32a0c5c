package watch

import (
	"strconv"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/account"
	"github.com/linkseal/linkseal/dataplane/status"
)

// accounts has a row for each key that is there, and a direction: what passed
// under it since it began, and beside it in clear.
func (v View) accounts() table {
	t := table{heads: []string{"PORT", "WAY", ">AN", "KEY", ">FOR", ">OCTETS", ">BIT/S", ">MISSING", ">IN CLEAR", ">ALLOWED", "LAST"}, alarm: map[int]bool{}}
	for i := range v.Last.Status.Ports {
		p := &v.Last.Status.Ports[i]
		before := v.before(p.Name)
		for j := range p.Accounts {
			a := &p.Accounts[j]
			if a.To != nil {
				continue
			}
			was, known := uint64(0), false
			if before != nil {
				was, known = octetsUnder(before.Accounts, a)
			}
			t.alarm[len(t.rows)] = a.ClearOctets > 0 && p.Secure == "must"
			t.row(p.Name, way(a.Direction), strconv.Itoa(int(a.AN)), keyName(a.Key), status.Age(v.Last.At.Sub(a.From)), strconv.FormatUint(a.Octets, 10),
				short(8*v.grown(a.Octets, was, known)), strconv.FormatUint(a.Gaps, 10), strconv.FormatUint(a.ClearOctets, 10), strconv.FormatUint(a.AllowedOctets, 10), v.last(a.LastSeen))
		}
	}
	return t
}

// keyName is a key identifier, MI/KN, with an MI that is brief.
func keyName(key string) string {
	mi, kn, ok := strings.Cut(key, "/")
	if !ok {
		return brief(key)
	}
	return brief(mi) + "/" + kn
}

// octetsUnder is what was counted under a's key before.
func octetsUnder(all []account.Account, a *account.Account) (octets uint64, ok bool) {
	for i := range all {
		b := &all[i]
		if b.Direction == a.Direction && b.SCI == a.SCI && b.AN == a.AN && b.Key == a.Key && b.From.Equal(a.From) {
			return b.Octets, true
		}
	}
	return 0, false
}

// traffic has a row for each circuit, at the port and inside the link, and each
// class that frames were of; of many circuits the busiest.
func (v View) traffic() table {
	t := table{heads: []string{"PORT", "OF", "NAME", "WAY", ">PKT/S", ">BIT/S", ">PACKETS", "LAST"}}
	for i := range v.Last.Status.Ports {
		p := &v.Last.Status.Ports[i]
		var old status.Port
		if b := v.before(p.Name); b != nil {
			old = *b
		}
		for _, circuits := range []struct {
			of        string
			all, were []status.Circuit
		}{{"outer circuit", p.OuterCircuits, old.OuterCircuits}, {"circuit", p.Circuits, old.Circuits}} {
			were := make(map[status.Circuit]status.Traffic)
			for _, c := range circuits.were {
				were[named(c)] = c.Traffic
			}
			shown, _ := status.Busiest(circuits.all)
			for _, c := range shown {
				was, known := were[named(c)]
				v.trafficRow(&t, p.Name, circuits.of, c.Name(), c.Direction, c.Traffic, was, known)
			}
		}
		were := make(map[status.Class]status.Traffic)
		for _, c := range old.Classes {
			were[status.Class{Name: c.Name, Direction: c.Direction}] = c.Traffic
		}
		for _, c := range p.Classes {
			was, known := were[status.Class{Name: c.Name, Direction: c.Direction}]
			v.trafficRow(&t, p.Name, "class", c.Name, c.Direction, c.Traffic, was, known)
		}
	}
	return t
}

// named is a circuit without its counts.
func named(c status.Circuit) status.Circuit {
	c.Traffic = status.Traffic{}
	return c
}

// trafficRow is one of what frames were of.
func (v View) trafficRow(t *table, port, of, name, direction string, n, was status.Traffic, known bool) {
	if n.Packets > 0 {
		t.row(port, of, name, way(direction), short(v.grown(n.Packets, was.Packets, known)), short(8*v.grown(n.Octets, was.Octets, known)),
			strconv.FormatUint(n.Packets, 10), v.last(n.LastSeen))
	}
}

// last is how long ago something was seen last.
func (v View) last(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return status.Age(v.Last.At.Sub(*t)) + " ago"
}

func way(direction string) string {
	if direction == account.Egress {
		return "out"
	}
	return "in"
}
