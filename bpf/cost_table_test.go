package bpf

import (
	"fmt"
	"strings"
)

// costTable is for people: what each point costs, alone and net of another, and
// as a multiple of the reference beside the multiple that it may be.
func costTable(points []*point) string {
	net := func(p *point) float64 { return p.best - points[p.less].best }
	unit := 0.0
	for _, p := range points {
		if p.name == "reference" {
			unit = net(p)
		}
	}
	var s strings.Builder
	s.WriteString("| point | ns | net | of the reference | at most | |\n|---|---:|---:|---:|---:|---|\n")
	for _, p := range points {
		if p.less < 0 {
			fmt.Fprintf(&s, "| %s | %.1f | | | | |\n", p.name, p.best)
			continue
		}
		limit, verdict := "", ""
		if p.most > 0 {
			limit, verdict = fmt.Sprintf("%.2f", p.most/referenceCost), "ok"
			if net(p)/unit > p.most/referenceCost {
				verdict = "over"
			}
		}
		fmt.Fprintf(&s, "| %s | %.1f | %.1f | %.2f | %s | %s |\n", p.name, p.best, net(p), net(p)/unit, limit, verdict)
	}
	return s.String() + sizesLine(points, net)
}

// sizesLine compares the two tables of the same working set.
func sizesLine(points []*point, net func(*point) float64) string {
	var few, many float64
	for _, p := range points {
		switch p.name {
		case hotInFew:
			few = net(p)
		case hotInMany:
			many = net(p)
		}
	}
	return fmt.Sprintf("\n%d SCs in the table cost %.2f of what 16 cost; at most 1.30.\n", manySCs, many/few)
}

// laneTable is for people, with what nftables costs as a multiple of the filter.
func laneTable(lanes []*lane) string {
	var s strings.Builder
	s.WriteString("\n| a frame of 64 octets over veth | ns | net | of the filter's, at least 4 |\n|---|---:|---:|---:|\n")
	for i, l := range lanes {
		net, ratio := "", ""
		if l.less >= 0 {
			n := l.best - lanes[l.less].best
			net = fmt.Sprintf("%.1f", n)
			if i%3 == 2 {
				ratio = fmt.Sprintf("%.1f", n/(lanes[i-1].best-lanes[l.less].best))
			}
		}
		fmt.Fprintf(&s, "| %s | %.1f | %s | %s |\n", l.name, l.best, net, ratio)
	}
	return s.String()
}
