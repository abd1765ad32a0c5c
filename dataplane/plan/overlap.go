package plan

import (
	"net/netip"
	"slices"
)

// placed is one of what ClearRoutes finds, and where it is among all.
type placed struct {
	of    protected
	route int
	ClearRoute
}

// protected is a prefix of a tunnel, both by their places in Desired.
type protected struct {
	tunnel, n int
	prefix    netip.Prefix
}

// protectedList has those of all tunnels that are routed, sorted: a machine may
// have a thousand of them, and as many routes.
type protectedList []protected

func newProtected(d Desired) (all protectedList) {
	for i, t := range d.Tunnels {
		if t.Transport {
			continue
		}
		for n, p := range t.Protect {
			all = append(all, protected{i, n, p.Masked()})
		}
	}
	slices.SortFunc(all, func(a, b protected) int { return comparePrefix(a.prefix, b.prefix) })
	return all
}

// overlapping are those that have an address in common with p: p lies in them, or
// they in p.
func (l protectedList) overlapping(p netip.Prefix) (all []protected) {
	from := func(p netip.Prefix) int {
		i, _ := slices.BinarySearchFunc(l, p, func(a protected, p netip.Prefix) int { return comparePrefix(a.prefix, p) })
		return i
	}
	for bits := range p.Bits() {
		around := netip.PrefixFrom(p.Addr(), bits).Masked()
		for i := from(around); i < len(l) && l[i].prefix == around; i++ {
			all = append(all, l[i])
		}
	}
	p = p.Masked()
	for i := from(p); i < len(l) && p.Contains(l[i].prefix.Addr()); i++ {
		all = append(all, l[i])
	}
	return all
}
