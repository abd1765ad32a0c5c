package mka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// TestExplore takes the real engine through the interleavings of a rollover,
// all of them within the bounds below, rather than through some that a seed
// chooses. From a secured CA, at every state any of these may happen next:
//
//   - the oldest MKPDU of a channel (sender, receiver and CKN) is delivered;
//     or it is lost, or stays to be delivered once more (budgets);
//   - an end's keychain is edited, the ends in any order;
//   - a process stops and suspends MKA; it starts again at once or later, within
//     longer than the life time;
//   - a process is killed; it starts again at once or later, on the SecY that
//     went on without it (budget): within 5 s over all restarts, a hello time less
//     for each MKPDU that may be lost, since peers let go of a silent one after
//     the life time;
//   - time goes on to the next deadline, if nothing is in flight, or, against
//     a budget, although something is.
//
// In every state no pair of members may lose a frame: what each SecY encodes
// with is in every other's receive set. That is the design's invariant, and
// it counts killed processes' SecYs too. From every state a fair schedule
// without loss must lead to the end of the rollover.
//
// What is bounded: members (2, 3), CKNs (2, 3), the budgets, the virtual time
// after the start, and in the short run the number of states of a scenario,
// which the log then says. SecY changes succeed and take no time. Two states
// are one if they differ only in what the digest leaves out.
func TestExplore(t *testing.T) {
	one := []Key{testKey(1)}
	add := []Key{testKey(2), testKey(1)}
	two := []Key{testKey(2)}
	three := []Key{testKey(3), testKey(2), testKey(1)}
	for _, s := range []scenario{
		{name: "2 members, key added", members: 2, edits: [][]Key{add}, loss: 1, span: 3 * time.Second},
		{name: "2 members, key replaced", members: 2, edits: [][]Key{two}, loss: 1, dup: 1, span: 2 * time.Second},
		{name: "2 members, added then removed", members: 2, edits: [][]Key{add, two}, span: 2 * time.Second},
		{name: "2 members, restart", members: 2, loss: 1, restarts: 1, span: 3 * time.Second},
		{name: "2 members, both restart", members: 2, restarts: 2, span: 2 * time.Second},
		{name: "2 members, restart in rollover", members: 2, edits: [][]Key{add}, restarts: 1, span: time.Second},
		{name: "2 members, 3 CKNs", members: 2, edits: [][]Key{add, three}, late: 1, span: time.Second},
		{name: "3 members, key added", members: 3, edits: [][]Key{add}, span: 500 * time.Millisecond},
		{name: "3 members, key replaced, loss", members: 3, edits: [][]Key{two}, loss: 1, span: 500 * time.Millisecond},
		{name: "3 members, restart", members: 3, restarts: 1, span: time.Second},
		{name: "3 members, 3 CKNs, restart, loss", members: 3, edits: [][]Key{add, three}, loss: 1, restarts: 1, late: 1, span: time.Second},
		{name: "2 members, suspended", members: 2, loss: 1, suspends: 1, span: 10 * time.Second},
		{name: "2 members, suspended in rollover", members: 2, edits: [][]Key{two}, loss: 1, suspends: 1, span: 9 * time.Second},
		{name: "3 members, suspended in rollover", members: 3, edits: [][]Key{add}, suspends: 1, span: 8 * time.Second},
	} {
		t.Run(s.name, func(t *testing.T) {
			limit := 6_000
			if s.members > 2 {
				limit = 2_000
			}
			if soak {
				limit = 500_000
				s.span *= 3
				s.loss++
			}
			x := &explorer{t: t, scenario: s, seen: map[[16]byte]struct{}{}, good: map[[16]byte]struct{}{}, limit: limit}
			x.explore(x.start(one))
			whole := "all within the bounds"
			if len(x.seen) >= limit {
				whole = "bounded by their number"
			}
			t.Logf("%d states, %s; %d on fair ways to the end", len(x.seen), whole, len(x.good))
		})
	}
}

type scenario struct {
	name                      string
	members                   int
	edits                     [][]Key
	loss, dup, restarts, late int
	suspends                  int
	span                      time.Duration
}

type explorer struct {
	t testing.TB
	scenario
	seen, good map[[16]byte]struct{}
	limit      int
	begun      bool
	trail      *trail
}

// trail is how the state at hand was come to.
type trail struct {
	before *trail
	name   string
}

// start is a secured CA on one key, old enough for the first hellos' ramp to
// be over.
func (x *explorer) start(keys []Key) *xstate {
	s := &xstate{now: time.Second, wire: map[channel][][]byte{}}
	for i := range x.members {
		n := &xnode{cfg: testConfig(i), secy: newFakeSecY(), rand: countRand{node: uint64(i + 1)}, keys: keys}
		s.nodes = append(s.nodes, n)
	}
	for i := range s.nodes {
		x.boot(s, i)
	}
	for end := s.now + 20*time.Second; s.now < end; {
		x.fair(s)
	}
	for x.fair(s); len(s.wire) > 0; {
		x.fair(s)
	}
	s.loss, s.dup, s.restarts, s.late, s.suspends = x.loss, x.dup, x.restarts, x.late, x.suspends
	x.span += s.now
	if l := s.lost(); l != "" {
		x.t.Fatalf("not secured at the start: %s", l)
	}
	x.begun = true
	return s
}

func (x *explorer) boot(s *xstate, i int) {
	n := s.nodes[i]
	n.cfg.Rand = &n.rand
	e, err := New(n.cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	n.e, n.asked = e, false
	x.step(s, i, Event{Kind: Adopt, Table: n.secy.table(), Saved: n.saved})
	x.step(s, i, Event{Kind: KeysChanged, Keys: n.keys})
}

func (x *explorer) step(s *xstate, i int, ev Event) {
	n := s.nodes[i]
	for again := true; again; {
		again = false
		for _, a := range n.e.Step(s.now, ev, nil) {
			switch a.Kind {
			case Send:
				for to := range s.nodes {
					if to != i && s.nodes[to].e != nil {
						c := channel{i, to, cknOf(a.Frame)}
						s.wire[c] = append(slices.Clip(s.wire[c]), bytes.Clone(a.Frame))
					}
				}
			case Save:
				n.saved = a.Saved
			case Closed:
				s.gone(i)
				n.asked = true
			case Change:
				ev, again = Event{Kind: ChangeDone, Err: n.secy.apply(a.Change)}, true
			}
		}
		if len(n.secy.wrong) > 0 {
			x.fail(s, fmt.Sprint(n.secy.wrong))
		}
		if l := s.lost(); l != "" && x.begun {
			x.fail(s, l)
		}
	}
}

func (x *explorer) fail(s *xstate, what string) {
	x.t.Helper()
	var b bytes.Buffer
	var names []string
	for l := x.trail; l != nil; l = l.before {
		names = append(names, l.name)
	}
	for _, l := range slices.Backward(names) {
		fmt.Fprintln(&b, "  ", l)
	}
	for i, n := range s.nodes {
		fmt.Fprintf(&b, "n%d encoding %d tx %v rx %v\n", i, n.secy.encoding, n.secy.tx, n.secy.rx)
	}
	x.t.Fatalf("%v: %s, after\n%s", s.now, what, b.String())
}

// longest is how long a process may stay away that was killed, or that has
// suspended MKA.
func (x *explorer) longest(n *xnode) time.Duration {
	if n.asked {
		return DefaultLife + DefaultHello
	}
	return max(DefaultHello/4, (5*time.Second-DefaultHello*time.Duration(x.loss))/time.Duration(max(1, x.scenario.restarts)))
}

func (x *explorer) deadline(s *xstate) time.Duration {
	d := Never
	for _, n := range s.nodes {
		if n.e != nil {
			d = min(d, n.e.Deadline())
		} else {
			d = min(d, n.down+x.longest(n))
		}
	}
	return d
}

// advance lets time go on to the next deadline.
func (x *explorer) advance(s *xstate) {
	s.now = max(s.now, x.deadline(s))
	for i, n := range s.nodes {
		switch {
		case n.e == nil && s.now >= n.down+x.longest(n):
			x.boot(s, i)
		case n.e != nil && n.e.Deadline() <= s.now:
			x.step(s, i, Event{Kind: Tick})
		}
	}
}

// fair does the next thing of the schedule on which nothing more goes wrong.
func (x *explorer) fair(s *xstate) {
	if len(s.wire) > 0 {
		c := s.channels()[0]
		x.step(s, c.to, Event{Kind: Received, Frame: s.take(c)})
		return
	}
	for i, n := range s.nodes {
		if n.e == nil {
			x.boot(s, i)
			return
		}
		if x.begun && n.edited < len(x.edits) {
			x.edit(s, i)
			return
		}
	}
	x.advance(s)
}

func (x *explorer) edit(s *xstate, i int) {
	n := s.nodes[i]
	n.keys = x.edits[n.edited]
	n.edited++
	x.step(s, i, Event{Kind: KeysChanged, Keys: n.keys})
}

func (x *explorer) digest(s *xstate, budgets bool) [16]byte {
	d := digester{now: s.now, mis: map[sa.MI]byte{}, mns: map[sa.MI]uint32{}, b: make([]byte, 0, 2048)}
	for _, n := range s.nodes {
		if n.e != nil {
			for _, p := range n.e.participants {
				d.mns[p.mi] = p.mn
			}
		}
	}
	for _, n := range s.nodes {
		d.bools(n.e != nil)
		d.num(n.edited, n.secy.encoding)
		if n.e != nil {
			d.entity(n.e)
		} else {
			d.at(n.down)
			d.bools(n.asked)
		}
		for an := range uint8(4) {
			d.key(n.secy.tx[an].Key)
			for _, o := range s.nodes {
				d.key(n.secy.rx[o.cfg.SCI][an].Key)
			}
		}
		for _, r := range n.saved.SAs {
			d.key(r.Key)
			d.num(int(r.AN))
			d.b = append(d.b, r.CKN...)
		}
	}
	for _, c := range s.channels() {
		d.num(c.order())
		for _, f := range s.wire[c] {
			d.frame(f)
		}
	}
	if budgets {
		d.num(s.loss, s.dup, s.restarts, s.late, s.suspends)
		d.b = binary.AppendVarint(d.b, int64(s.now))
	}
	return d.sum()
}

// move is one thing that may happen next.
type move struct {
	name string
	do   func(*xstate)
}

func (x *explorer) moves(s *xstate) (all []move) {
	add := func(name string, do func(*xstate)) { all = append(all, move{name, do}) }
	for _, c := range s.channels() {
		at := fmt.Sprintf("n%d->n%d key %d", c.from, c.to, c.ckn)
		add("deliver "+at, func(s *xstate) { x.step(s, c.to, Event{Kind: Received, Frame: s.take(c)}) })
		if s.loss > 0 {
			add("lose "+at, func(s *xstate) { s.loss--; s.take(c) })
		}
		if s.dup > 0 {
			add("deliver and keep "+at, func(s *xstate) { s.dup--; x.step(s, c.to, Event{Kind: Received, Frame: bytes.Clone(s.wire[c][0])}) })
		}
	}
	for i, n := range s.nodes {
		switch {
		case n.e == nil:
			add(fmt.Sprintf("start n%d", i), func(s *xstate) { x.boot(s, i) })
		case s.restarts > 0:
			add(fmt.Sprintf("kill n%d", i), func(s *xstate) {
				s.restarts--
				s.gone(i)
			})
		}
		if n.e != nil && s.suspends > 0 {
			add(fmt.Sprintf("suspend n%d", i), func(s *xstate) {
				s.suspends--
				x.step(s, i, Event{Kind: Suspend})
			})
		}
		if n.e != nil && n.edited < len(x.edits) {
			add(fmt.Sprintf("edit n%d", i), func(s *xstate) { x.edit(s, i) })
		}
	}
	if d := x.deadline(s); d <= x.span && (len(s.wire) == 0 || s.late > 0) {
		add(fmt.Sprintf("time goes on to %v", d), func(s *xstate) {
			if len(s.wire) > 0 {
				s.late--
			}
			x.advance(s)
		})
	}
	return all
}

// explore goes through all that can follow: depth first where the number of
// states is no bound, which needs the least memory, else in random order, which
// spreads them.
func (x *explorer) explore(start *xstate) {
	type todo struct {
		from *xstate
		move move
		way  *trail
	}
	rng := rand.New(rand.NewPCG(1, uint64(x.members)))
	list := []todo{{start, move{"start", func(*xstate) {}}, nil}}
	for len(list) > 0 && len(x.seen) < x.limit {
		last := len(list) - 1
		if !soak {
			at := rng.IntN(len(list))
			list[at], list[last] = list[last], list[at]
		}
		next := list[last]
		list[last] = todo{}
		list = list[:last]
		s := next.from.clone()
		x.trail = &trail{next.way, next.move.name}
		next.move.do(s)
		d := x.digest(s, true)
		if _, ok := x.seen[d]; ok {
			continue
		}
		x.seen[d] = struct{}{}
		x.converges(s.clone())
		for _, m := range x.moves(s) {
			list = append(list, todo{s, m, x.trail})
		}
	}
}

// converges follows the fair schedule to the end of the rollover, or to a
// state from which that has been done.
func (x *explorer) converges(s *xstate) {
	var way [][16]byte
	mark := x.trail
	for steps := 0; ; steps++ {
		d := x.digest(s, false)
		if _, ok := x.good[d]; ok || x.done(s) {
			way = append(way, d)
			break
		}
		way = append(way, d)
		if steps > 3000 {
			x.fail(s, "a fair schedule does not end the rollover")
		}
		x.trail = &trail{x.trail, fmt.Sprintf("fair, %v", s.now)}
		x.fair(s)
	}
	x.trail = mark
	for _, d := range way {
		x.good[d] = struct{}{}
	}
}

// done tells whether every node encodes with the one SAK that is installed
// anywhere, of the last edit's preferred key.
func (x *explorer) done(s *xstate) bool {
	want := testKey(1)
	if len(x.edits) > 0 {
		want = x.edits[len(x.edits)-1][0]
	}
	for _, n := range s.nodes {
		if n.e == nil || n.edited < len(x.edits) || n.e.encoding < 0 || len(n.secy.tx) != 1 {
			return false
		}
		tx, _ := n.secy.encodesWith()
		if first, _ := s.nodes[0].secy.encodesWith(); tx.Key != first.Key || !bytes.Equal(n.e.table[n.e.encoding].ckn(), want.CKN) {
			return false
		}
		if n.e.table[n.e.encoding].adopted {
			return false
		}
	}
	return s.lost() == ""
}
