package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// markdown is the table for people: a line a figure, a column a contender, the
// ratios of the subject to each other contender, and its share of what AES-GCM
// allows. Without linkseal the last contender is the subject.
func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. Rounds: %d. Medians, with least and greatest; of ratios, those of each round.\n\n", r.Machine, r.Rounds)
	about := slices.IndexFunc(r.Contenders, func(c contestant) bool { return c.Name == subject })
	if about < 0 {
		about = len(r.Contenders) - 1
	}
	us := r.Contenders[about]
	others := slices.Delete(slices.Clone(r.Contenders), about, about+1)

	head := []string{"", "unit"}
	for _, c := range r.Contenders {
		head = append(head, c.Name)
	}
	for _, c := range others {
		head = append(head, us.Name+" : "+c.Name)
	}
	head = append(head, us.Name+" of AES-GCM")
	line(&b, head)
	b.WriteString("|---|---" + strings.Repeat("|---:", len(head)-2) + "|\n")
	for _, f := range figures {
		cells := []string{f.title, f.unit}
		for _, c := range r.Contenders {
			cells = append(cells, spread(c.Values[f.id], number))
		}
		for _, c := range others {
			cells = append(cells, spread(ratios(us.Values[f.id], c.Values[f.id]), number))
		}
		line(&b, append(cells, r.share(us, f)))
	}

	fmt.Fprintf(&b, "\n- AES-256-GCM in Go, seal and open of %d octets on one core: %s Gbit/s. Two ends on two cores may pass 100 %% of it.\n", gcmFrame, spread(r.GCM, number))
	b.WriteString(r.tunnels())
	for _, c := range r.Contenders {
		fmt.Fprintf(&b, "- %s: %s.\n", c.Name, c.About)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "- %s.\n", n)
	}
	return b.String()
}

// tunnels compares linkseal's WireGuard with stock wireguard-go where both were
// measured: the medians, and each round's.
func (r *results) tunnels() string {
	find := func(name string) []float64 {
		for _, c := range r.Contenders {
			if c.Name == name {
				return c.Values[tcp1]
			}
		}
		return nil
	}
	ours, stock := find(wireguardUserspace), find(wireguardStock)
	if len(ours) == 0 || len(stock) == 0 {
		return ""
	}
	return fmt.Sprintf("- TCP, 1 stream, %s : %s: %s x its median; of each round %s.\n",
		wireguardUserspace, wireguardStock, number(median(ours)/median(stock)), spread(ratios(ours, stock), number))
}

func line(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

// share is a contender's part of the AES-GCM limit, by payload.
func (r *results) share(c contestant, f figure) string {
	gbit := slices.Clone(c.Values[f.id])
	switch {
	case f.octets == 0:
		return "—"
	case f.octets > 0:
		for i := range gbit {
			gbit[i] *= 1e3 * float64(8*f.octets) / 1e9
		}
	}
	return spread(ratios(gbit, r.GCM), percent)
}

// spread is the median of values and how far they reach.
func spread(values []float64, show func(float64) string) string {
	switch len(values) {
	case 0:
		return "—"
	case 1:
		return show(values[0])
	}
	return fmt.Sprintf("%s (%s to %s)", show(median(values)), show(slices.Min(values)), show(slices.Max(values)))
}

// number has three digits that count.
func number(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprint(v)
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', min(max(0, digits), 6), 64)
}

func percent(v float64) string { return number(100*v) + " %" }
