package course

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

var t0 = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// world is a store of pairs, our keychain, a peer's, and the ports between
// the two, in memory and by its own clock.
type world struct {
	t     *testing.T
	now   time.Time
	pairs []Pair
	// The keychains follow the store when these have passed since a pair
	// became whole; a pair retired leaves ours at once, and the peer's too.
	ours, theirs time.Duration
	wholeSince   map[string]time.Time
	journal      []byte
	ports        []*link
	outage       error // of the store
	diskFull     error
	fault, clock string
	unsealed     string
	events       []Event
	polls        int
	psk          bool // the pairs are PSKs, and the ports tunnels of two members
}

// link is one port with its peer.
type link struct {
	name     string
	up       bool
	carrying keychain.CKN
	movedAt  time.Time
	old      keychain.CKN // whose SAs are still there
	counters map[string]uint64
}

func newWorld(t *testing.T, ports ...string) *world {
	w := &world{t: t, now: t0, wholeSince: map[string]time.Time{}}
	w.add(Pair{ID: "old", Owner: "us", Whole: true, Created: t0.Add(-24 * time.Hour), Window: keychain.Window{NotBefore: t0.Add(-24 * time.Hour)}})
	for _, p := range ports {
		w.ports = append(w.ports, &link{name: p, up: true, carrying: ckn("old"), counters: map[string]uint64{"in_pkts_late": 7, "in_pkts_ok": 100}})
	}
	return w
}

func ckn(id string) keychain.CKN { return keychain.CKN(id) }

func (w *world) add(p Pair) {
	p.CKN = ckn(p.ID)
	w.pairs = append(w.pairs, p)
	w.wholeSince[p.ID] = p.Created
}

func (w *world) has(id string, after time.Duration) bool {
	p := find(w.pairs, id)
	return p != nil && p.Whole && !w.now.Before(w.wholeSince[id].Add(after))
}

// both are the pairs that both ends have and may use now, the preferred first.
func (w *world) both() (all []Pair) {
	for _, p := range w.pairs {
		if w.has(p.ID, w.ours) && w.has(p.ID, w.theirs) && p.State(w.now) == keychain.Active {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Pair) int {
		if a.Fallback != b.Fallback {
			if a.Fallback {
				return 1
			}
			return -1
		}
		return cmp.Or(b.Start().Compare(a.Start()), cmp.Compare(b.CKN, a.CKN))
	})
	return all
}

// settle lets the ports do what MKA does.
func (w *world) settle() {
	both := w.both()
	for _, l := range w.ports {
		if !l.up {
			l.carrying, l.old = "", ""
			continue
		}
		if len(both) == 0 {
			w.t.Fatalf("at %v no pair is left that both ends have: %+v", w.now, w.pairs)
		}
		if to := both[0].CKN; l.carrying != to {
			l.old, l.carrying, l.movedAt = l.carrying, to, w.now
		}
		if w.now.Sub(l.movedAt) > 3*time.Second {
			l.old = ""
		}
	}
}

func (w *world) view() View {
	w.settle()
	v := View{Fault: w.fault, Clock: w.clock, Unsealed: w.unsealed}
	for _, p := range w.pairs {
		if w.has(p.ID, w.ours) {
			v.Keys = append(v.Keys, Key{ID: p.ID, CKN: p.CKN, Start: p.Start(), Fallback: p.Fallback})
		}
	}
	for _, l := range w.ports {
		if w.psk {
			v.Ports = append(v.Ports, l.tunnel())
			continue
		}
		p := Port{Name: l.name, Secured: l.carrying != "", Encoding: l.carrying, PeersEncode: true, Counters: map[string]uint64{}}
		for k, n := range l.counters {
			p.Counters[k] = n
		}
		for _, k := range v.Keys {
			if find(w.pairs, k.ID).State(w.now) != keychain.Active {
				continue
			}
			m := Participant{CKN: k.CKN}
			if l.up && w.has(k.ID, w.theirs) {
				m.Live = 1
			}
			p.Participants = append(p.Participants, m)
		}
		for _, c := range []keychain.CKN{l.carrying, l.old} {
			if c != "" {
				p.SAs = append(p.SAs, c)
			}
		}
		v.Ports = append(v.Ports, p)
	}
	return v
}

// tunnel is the link as a tunnel whose second member moves when the old SAs of a
// port would go.
func (l *link) tunnel() Port {
	p := Port{Name: l.name, Secured: l.carrying != "", Encoding: cmp.Or(l.old, l.carrying), PeersEncode: true}
	if l.counters != nil {
		p.Interfaces = map[string]map[string]uint64{"wg-" + l.name: maps.Clone(l.counters)}
	}
	for _, c := range []keychain.CKN{l.carrying, l.old} {
		if c != "" {
			p.SAs = append(p.SAs, c)
			p.Participants = append(p.Participants, Participant{CKN: c, Live: 1})
		}
	}
	return p
}

// list is what the store lists: whole pairs and halves.
func (w *world) list() []Pair {
	all := slices.Clone(w.pairs)
	for i := range all {
		if all[i].PSK = w.psk; w.psk {
			all[i].CKN = ""
		}
	}
	return all
}

// do carries out an effect. half leaves it half done.
func (w *world) do(c *Course, d Do, half bool) (r Result) {
	switch d.Kind {
	case Look:
		w.now = w.now.Add(d.After)
		return Result{View: w.view()}
	case Save:
		if w.diskFull != nil {
			return Result{Err: w.diskFull}
		}
		b, err := c.Encode()
		if err != nil {
			w.t.Fatal(err)
		}
		w.journal = b
		return Result{}
	case Poll:
		w.polls++
		return Result{}
	}
	if w.outage != nil {
		return Result{Err: w.outage}
	}
	w.now = w.now.Add(10 * time.Millisecond)
	switch d.Kind {
	case List:
		r.Pairs = w.list()
	case Write:
		if r.Pair, r.Err = w.write(c.Order, half); w.psk {
			r.Pair.CKN = ""
		}
	case Retire:
		w.retire(d.ID, half)
	}
	return r
}

func (w *world) write(o Order, half bool) (Pair, error) {
	if w.journal == nil {
		w.t.Error("a pair is written that the journal does not know")
	}
	p := find(w.pairs, o.ID)
	if p == nil {
		w.add(Pair{ID: o.ID, Owner: o.Owner, Created: w.now, Window: o.Window()})
		p = &w.pairs[len(w.pairs)-1]
	}
	if half || p.Whole {
		return *p, nil
	}
	p.Whole = true
	w.wholeSince[o.ID] = w.now
	return *p, nil
}

func (w *world) retire(id string, half bool) {
	if p := find(w.pairs, id); p != nil && half {
		p.Whole = false
		return
	}
	w.pairs = slices.DeleteFunc(w.pairs, func(p Pair) bool { return p.ID == id })
	w.settle() // both ends hold what carries traffic; what they have left must do
}

const newID = "00112233445566778899aabbccddeeff"

func plan() Plan {
	return Plan{Keychain: "link1", Cause: Asked, ID: newID, Owner: "us", Octets: 32, Hold: time.Hour, Sweep: true}
}

// drive runs a course until it has ended, or until, told before each step,
// stops it.
func (w *world) drive(c *Course, until func(Do) bool) {
	w.t.Helper()
	for range 200_000 {
		d := c.Next(w.now)
		if d.Kind == End || until != nil && until(d) {
			return
		}
		r := w.do(c, d, false)
		w.events = append(w.events, c.Did(w.now, d, r)...)
	}
	w.t.Fatalf("no end: %+v", c.State)
}

// phases are those of the events, with their ports.
func (w *world) phases() (all []string) {
	for _, e := range w.events {
		s := string(e.Phase)
		if e.Port+e.Tunnel != "" {
			s = fmt.Sprintf("%s %s", e.Port+e.Tunnel, s)
		}
		all = append(all, s)
	}
	return all
}

func (w *world) last() Event {
	if len(w.events) == 0 {
		return Event{}
	}
	return w.events[len(w.events)-1]
}

func (w *world) ids() (all []string) {
	for _, p := range w.pairs {
		s := p.ID
		if !p.Whole {
			s += " half"
		}
		all = append(all, s)
	}
	return all
}
