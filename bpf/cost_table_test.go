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
	return s.String() + sizesTable(points, net)
}

// sizesTable compares the two tables of the same working set.
func sizesTable(points []*point, net func(*point) float64) string {
	named := map[string]*point{}
	for _, p := range points {
		named[p.name] = p
	}
	var s strings.Builder
	fmt.Fprintf(&s, "\n| %d in the table, as a multiple of %d | the same %d hot | at most | all by chance |\n|---|---:|---:|---:|\n", manyOfAll, few, few)
	for _, t := range sized {
		small := net(named[size(t.what, few, few)])
		fmt.Fprintf(&s, "| %ss | %.2f | 1.30 | %.1f |\n", t.what, net(named[size(t.what, few, manyOfAll)])/small, net(named[size(t.what, manyOfAll, manyOfAll)])/small)
	}
	return s.String()
}

// laneTable is for people, with what nftables costs as a multiple of the filter,
// and the filter as one of the reference, which costs unit.
func laneTable(lanes []*lane, unit float64) string {
	var s strings.Builder
	s.WriteString("\n| a frame of 64 octets over veth | ns | net | of the reference | at most | of the filter's, at least 4 |\n|---|---:|---:|---:|---:|---:|\n")
	for i, l := range lanes {
		if l.less < 0 {
			fmt.Fprintf(&s, "| %s | %.1f | | | | |\n", l.name, l.best)
			continue
		}
		n, most, ratio := l.best-lanes[l.less].best, "", ""
		if l.most > 0 {
			most = fmt.Sprintf("%.2f", l.most/referenceCost)
		}
		if i%3 == 2 {
			ratio = fmt.Sprintf("%.1f", n/(lanes[i-1].best-lanes[l.less].best))
		}
		fmt.Fprintf(&s, "| %s | %.1f | %.1f | %.2f | %s | %s |\n", l.name, l.best, n, n/unit, most, ratio)
	}
	return s.String()
}
