package drops

import (
	"time"

	"github.com/linkseal/linkseal/bpf"
)

const (
	// kept is how many of a port's newest events there are to be looked at.
	kept = 16
	// again is the least time between two lines in the log of one kind.
	again = time.Minute
)

type kind struct {
	direction bpf.Direction
	reason    bpf.Reason
}

// kinds are all that there are.
func kinds() (all []kind) {
	for _, d := range []bpf.Direction{bpf.Ingress, bpf.Egress} {
		for _, r := range bpf.Reasons() {
			all = append(all, kind{d, r})
		}
	}
	return all
}

// event is a frame that was dropped, and when.
type event struct {
	at   time.Time
	drop bpf.Drop
}

// line is one for the log: so many frames of a kind since the last one, and
// what the newest that was seen is like.
type line struct {
	kind
	count uint64
	last  event
}

// entry is what is known of a kind.
type entry struct {
	events uint64
	told   uint64 // frames, of which lines told or which were before all
	lineAt time.Time
	last   event
}

// book is one port's. It does not read the clock.
type book struct {
	newest  []event // the newest last
	entries map[kind]*entry
}

// open begins with a filter that has dropped so many frames already.
func (b *book) open(total func(kind) uint64) {
	if b.entries == nil {
		b.entries = make(map[kind]*entry)
	}
	for _, k := range kinds() {
		if b.entries[k] == nil {
			b.entries[k] = &entry{}
		}
		b.entries[k].told = total(k)
	}
}

// add enters an event, of which the filter has dropped total with this one. ok
// tells that there is a line to be logged.
func (b *book) add(e event, total uint64) (l line, ok bool) {
	if len(b.newest) == kept {
		b.newest = append(b.newest[:0], b.newest[1:]...)
	}
	b.newest = append(b.newest, e)
	k := kind{e.drop.Direction, e.drop.Reason}
	n := b.entries[k]
	n.events++
	n.last = e
	if !n.lineAt.IsZero() && e.at.Sub(n.lineAt) < again {
		return l, false
	}
	return n.line(k, e.at, total), true
}

func (n *entry) line(k kind, now time.Time, total uint64) line {
	l := line{k, max(total-min(total, n.told), 1), n.last}
	n.lineAt, n.told = now, max(total, n.told)
	return l
}

// due are the lines of kinds that a line was logged of a minute ago, and of
// which frames were dropped since.
func (b *book) due(now time.Time, total func(kind) uint64) (lines []line) {
	for _, k := range kinds() {
		n := b.entries[k]
		if n == nil || n.lineAt.IsZero() || now.Sub(n.lineAt) < again {
			continue
		}
		if t := total(k); t > n.told {
			lines = append(lines, n.line(k, now, t))
		} else {
			n.lineAt = time.Time{} // the next one is told at once
		}
	}
	return lines
}

// next is when due has to be asked; the zero time: not before an event.
func (b *book) next() (at time.Time) {
	for _, n := range b.entries {
		if !n.lineAt.IsZero() && (at.IsZero() || n.lineAt.Add(again).Before(at)) {
			at = n.lineAt.Add(again)
		}
	}
	return at
}
