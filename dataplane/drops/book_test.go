package drops

import (
	"testing"
	"time"

	"github.com/linkseal/linkseal/bpf"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func dropped(d bpf.Direction) bpf.Drop { return bpf.Drop{Direction: d, Reason: bpf.Reasons()[1]} }

// The first of a kind is told at once, the rest in one line a minute, each
// frame once; a kind that has been quiet for a minute is new again.
func TestLines(t *testing.T) {
	totals := map[kind]uint64{}
	total := func(k kind) uint64 { return totals[k] }
	in, out := kind{bpf.Ingress, bpf.Reasons()[1]}, kind{bpf.Egress, bpf.Reasons()[1]}
	totals[in] = 1000 // before the daemon
	var b book
	b.open(total)
	add := func(k kind, at time.Duration) (line, bool) {
		return b.add(event{start.Add(at), dropped(k.direction)}, totals[k])
	}
	if !b.next().IsZero() {
		t.Error("something is due of nothing")
	}
	totals[in] += 3
	if l, ok := add(in, 0); !ok || l.count != 3 || l.kind != in {
		t.Fatalf("first: %+v, %v", l, ok)
	}
	totals[in] += 50
	if _, ok := add(in, time.Second); ok {
		t.Error("a second line within a minute")
	}
	totals[out]++
	if l, ok := add(out, 2*time.Second); !ok || l.count != 1 {
		t.Errorf("another kind waits for the first: %+v, %v", l, ok)
	}
	if at := b.next(); !at.Equal(start.Add(again)) {
		t.Errorf("next at %v", at)
	}
	if l := b.due(start.Add(again-1), total); len(l) != 0 {
		t.Errorf("early: %+v", l)
	}
	totals[in] += 50 // of which there was no event
	l := b.due(start.Add(again+2*time.Second), total)
	if len(l) != 1 || l[0].count != 100 || l[0].kind != in || !l[0].last.at.Equal(start.Add(time.Second)) {
		t.Errorf("after a minute: %+v", l)
	}
	if l := b.due(start.Add(2*again+4*time.Second), total); len(l) != 0 || !b.next().IsZero() {
		t.Errorf("of nothing new: %+v, next %v", l, b.next())
	}
	totals[in]++
	if l, ok := add(in, 2*again+5*time.Second); !ok || l.count != 1 {
		t.Errorf("after silence: %+v, %v", l, ok)
	}
	if n := b.entries[in].events; n != 3 {
		t.Errorf("%d events", n)
	}
}

// A filter with new counters does not make counts run backwards.
func TestNewFilter(t *testing.T) {
	var b book
	b.open(func(kind) uint64 { return 1 << 40 })
	b.open(func(kind) uint64 { return 0 })
	if l, ok := b.add(event{start, dropped(bpf.Ingress)}, 2); !ok || l.count != 2 {
		t.Errorf("%+v, %v", l, ok)
	}
}

func TestNewest(t *testing.T) {
	var b book
	b.open(func(kind) uint64 { return 0 })
	for i := range 40 {
		b.add(event{start.Add(time.Duration(i) * time.Second), dropped(bpf.Ingress)}, uint64(i))
	}
	if len(b.newest) != kept || !b.newest[kept-1].at.Equal(start.Add(39*time.Second)) || !b.newest[0].at.Equal(start.Add(24*time.Second)) {
		t.Errorf("%d kept, from %v to %v", len(b.newest), b.newest[0].at, b.newest[len(b.newest)-1].at)
	}
}
