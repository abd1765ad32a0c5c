package reconcile

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/status"
)

// maxCircuits is how many circuits of an interface are told by their tags. Who
// may send frames to a port may write any tags before the 0x88E5, and there are
// 16 million.
const maxCircuits = 512

// circuits remembers which are told by their tags, so that none of them goes
// over to the rest, which only grows. It may be used from any goroutine.
type circuits struct {
	mu sync.Mutex
	of map[string]toldCircuits // by interface
}

type toldCircuits struct {
	index int // the interface's: another one under its name counts anew
	tags  map[circuitTags]bool
}

type circuitTags struct{ s, c uint16 }

func tagsOf(c *status.Circuit) circuitTags { return circuitTags{c.STag, c.CTag} }

// bound leaves of all, which were read of an interface, maxCircuits by their
// tags: those that it left before, then those that most frames were of. The
// others are with the rest of their direction, which is last. Frames whose tag has
// a priority and no VID are with those that have no tag.
func (k *circuits) bound(name string, index int, all []status.Circuit) (left []status.Circuit) {
	k.mu.Lock()
	defer k.mu.Unlock()
	told := k.of[name]
	if told.index != index || told.tags == nil {
		told = toldCircuits{index, make(map[circuitTags]bool)}
	}
	if k.of == nil {
		k.of = make(map[string]toldCircuits)
	}
	k.of[name] = told
	most := slices.Clone(all)
	slices.SortStableFunc(most, func(a, b status.Circuit) int { return cmp.Compare(b.Packets, a.Packets) })
	for i := range most {
		if len(told.tags) < maxCircuits && !most[i].Rest {
			told.tags[tagsOf(&most[i])] = true
		}
	}
	sums := make(map[status.Circuit]*status.Circuit)
	var order []status.Circuit
	for i := range all {
		c := &all[i]
		name := status.Circuit{Direction: c.Direction, STag: c.STag, CTag: c.CTag}
		if c.Rest || !told.tags[tagsOf(c)] {
			name = status.Circuit{Direction: c.Direction, Rest: true}
		} else if sums[name] == nil {
			order = append(order, name)
		}
		if sums[name] == nil {
			sum := name
			sums[name] = &sum
		}
		sums[name].Add(c.Traffic)
	}
	for _, direction := range []string{bpf.OfIngress, bpf.OfEgress} {
		if rest := (status.Circuit{Direction: direction, Rest: true}); sums[rest] != nil {
			order = append(order, rest)
		}
	}
	for _, name := range order {
		left = append(left, *sums[name])
	}
	return left
}

// circuitsOf is what was read, as a status has it.
func circuitsOf(read []bpf.Circuit) (all []status.Circuit) {
	for _, c := range read {
		all = append(all, status.Circuit{STag: c.STag, CTag: c.CTag, Rest: c.Rest, Direction: c.Direction, Traffic: traffic(c.Traffic)})
	}
	return all
}

// OuterCircuits implements Machine. It may be called from any goroutine.
func (k *Kernel) OuterCircuits(device string) ([]status.Circuit, error) {
	l, err := k.links.ByName(device)
	if err != nil {
		return nil, unlessGone(err)
	}
	var read []bpf.Circuit
	err = k.ns.Do(func() (err error) { read, err = bpf.ReadOuterCircuits(l.Index); return err })
	if errors.Is(err, bpf.ErrNotAttached) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return k.circuits.bound(device, l.Index, circuitsOf(read)), nil
}
