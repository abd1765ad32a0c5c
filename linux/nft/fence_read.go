package nft

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Fence reads the fence. One that is not whole is as none.
func (h *Handle) Fence() (f Fence, there bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err = h.do(func(c *nftables.Conn) (err error) { f, there, err = readFence(c); return err })
	if err != nil {
		return f, false, failFence("read", err)
	}
	return f, there, nil
}

// Fenced is how many packets the fence has held back, and how many octets they
// had, of both families; there is false without a fence.
func (h *Handle) Fenced() (packets, octets uint64, there bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var counted [2]expr.Counter
	err = h.do(func(c *nftables.Conn) (err error) { there, counted, err = readRules(c); return err })
	if err != nil {
		return 0, 0, false, failFence("read", err)
	}
	return counted[0].Packets + counted[1].Packets, counted[0].Bytes + counted[1].Bytes, there, nil
}

// readRules tells whether the rules are all there, and what those that drop have
// counted.
func readRules(c *nftables.Conn) (whole bool, counted [2]expr.Counter, err error) {
	rules, err := c.GetRules(fenceTable(), &nftables.Chain{Name: fenceChain, Table: fenceTable()})
	if err != nil {
		if absent(err) {
			err = nil
		}
		return false, counted, err
	}
	n := len(rules)
	most := len(fenceRules(true, counted))
	if n != most && n != most-1 {
		return false, counted, nil
	}
	for i, rule := range rules[n-len(counted):] {
		for _, e := range rule.Exprs {
			if counter, ok := e.(*expr.Counter); ok {
				counted[i] = *counter
			}
		}
	}
	return true, counted, nil
}

func readFence(c *nftables.Conn) (f Fence, there bool, err error) {
	whole, _, err := readRules(c)
	if err != nil || !whole {
		return f, false, err
	}
	sets, _, err := f.fenceSets(fenceTable())
	if err != nil {
		return f, false, err
	}
	for _, s := range sets {
		list, err := c.GetSetElements(s)
		if absent(err) {
			return f, false, nil
		}
		if err != nil {
			return f, false, err
		}
		switch strings.TrimSuffix(s.Name, "6") {
		case setPass:
			for _, e := range list {
				if name := strings.TrimRight(string(e.Key), "\x00"); name != "lo" {
					f.Pass = append(f.Pass, name)
				}
			}
		case setPorts:
			for _, e := range list {
				if len(e.Key) >= 2 {
					f.Ports = append(f.Ports, binary.BigEndian.Uint16(e.Key))
				}
			}
		case setRemotes:
			for _, e := range list {
				if a, ok := netip.AddrFromSlice(e.Key); ok {
					f.Remotes = append(f.Remotes, a)
				}
			}
		case setProtect:
			f.Protect = append(f.Protect, prefixes(list)...)
		}
	}
	return f.sorted(), true, nil
}

// interval is p as elements of a set of intervals: where it begins, and the first
// address after it, if there is one.
func interval(p netip.Prefix) []nftables.SetElement {
	p = p.Masked()
	end := p.Addr().AsSlice()
	for i := p.Bits(); i < p.Addr().BitLen(); i++ {
		end[i/8] |= 0x80 >> (i % 8)
	}
	elements := []nftables.SetElement{{Key: p.Addr().AsSlice()}}
	last, _ := netip.AddrFromSlice(end)
	if next := last.Next(); next.IsValid() {
		elements = append(elements, nftables.SetElement{Key: next.AsSlice(), IntervalEnd: true})
	}
	return elements
}

// prefixes undoes interval, of all elements of a set. What is no prefix is left
// out: the fence is then not as wanted.
func prefixes(list []nftables.SetElement) (all []netip.Prefix) {
	list = slices.SortedFunc(slices.Values(list), func(a, b nftables.SetElement) int {
		return cmp.Or(slices.Compare(a.Key, b.Key), boolean(b.IntervalEnd)-boolean(a.IntervalEnd))
	})
	for i, e := range list {
		begin, ok := netip.AddrFromSlice(e.Key)
		if e.IntervalEnd || !ok {
			continue
		}
		var end []byte // none: to the last address
		if i+1 < len(list) {
			end = list[i+1].Key
		}
		for bits := range begin.BitLen() + 1 {
			p := netip.PrefixFrom(begin, bits)
			elements := interval(p)
			if p.Masked() != p || (len(elements) == 2) != (end != nil) || end != nil && !slices.Equal(elements[1].Key, end) {
				continue
			}
			all = append(all, p)
			break
		}
	}
	return all
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sorted is f in order, without repetitions and without prefixes within others.
func (f Fence) sorted() Fence {
	f.Pass, f.Ports = slices.Compact(slices.Sorted(slices.Values(f.Pass))), slices.Compact(slices.Sorted(slices.Values(f.Ports)))
	f.Remotes = slices.Compact(slices.SortedFunc(slices.Values(f.Remotes), netip.Addr.Compare))
	f.Protect = Outermost(f.Protect)
	return f
}

// Equal compares what fences do.
func (f Fence) Equal(o Fence) bool {
	f, o = f.sorted(), o.sorted()
	return slices.Equal(f.Pass, o.Pass) && slices.Equal(f.Ports, o.Ports) && slices.Equal(f.Remotes, o.Remotes) && slices.Equal(f.Protect, o.Protect)
}

// Outermost are the prefixes that lie in no other of them, sorted.
func Outermost(list []netip.Prefix) (all []netip.Prefix) {
	sorted := slices.SortedFunc(slices.Values(list), func(a, b netip.Prefix) int {
		return cmp.Or(a.Masked().Addr().Compare(b.Masked().Addr()), a.Bits()-b.Bits())
	})
	for _, p := range sorted {
		if n := len(all); n == 0 || !all[n-1].Overlaps(p) {
			all = append(all, p.Masked())
		}
	}
	return all
}
