package mka

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// world is N nodes on one wire, with virtual time. All that happens follows
// from its seed.
type world struct {
	t     testing.TB
	now   time.Duration
	nodes []*node
	wire  []flight
	rng   *rand.Rand
	wireModel
	// excused are the SAKs that the standard's transmit timeout has put in
	// use although a member cannot receive.
	excused map[sa.KeyID]bool
	bonds   map[[2]int]bond
	made    map[sa.KeyID][]sa.MI // the members of every SAK
	// tap sees every frame that is sent, and may change it; nil drops it.
	tap func(from int, frame []byte) []byte
	// nosy is the probability of an early Tick before each event: it must do
	// nothing.
	nosy float64
	// slow is how long a Save may take: the change that comes next waits for
	// it, other events do not.
	slow time.Duration
	// loose leaves out what a member that lies can bring about.
	loose bool
	// watch fails the test at any instant at which one of these nodes could
	// not receive from another.
	watch []int
	log   func(string)
	sent  int
}

// wireModel is how bad the wire is. Probabilities are 0 to 1.
type wireModel struct {
	loss, dup     float64
	delay, jitter time.Duration
	// cut drops what goes from one node to another.
	cut map[[2]int]bool
}

type flight struct {
	at    time.Duration
	to    int
	frame []byte
}

// node is a station: an Entity, a SecY, and what it has saved.
type node struct {
	id    int
	cfg   Config
	e     *Entity
	raw   *hostap // in place of e: another implementation
	secy  *fakeSecY
	saved Saved
	keys  []Key
	up    bool
	port  sa.ControlledPort
	told  []Report
	fail  func(sa.Change) error
	held  *sa.Change    // waits for what Save asked for
	due   time.Duration // when that is done
	// collide lets the node draw another node's MI now and then, none twice.
	collide bool
	drawn   map[string]bool
}

// randSource is a node's randomness. 12 octets are an MI.
type randSource struct {
	*rand.Rand
	w *world
	n *node
}

func (r randSource) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	if r.n.collide && len(b) == len(sa.MI{}) && r.IntN(2) == 0 {
		for _, o := range r.w.nodes {
			if o == r.n || !o.up || len(o.e.participants) == 0 {
				continue
			}
			mi := o.e.participants[r.IntN(len(o.e.participants))].mi
			if !r.n.drawn[mi.String()] {
				copy(b, mi[:])
			}
		}
	}
	if len(b) == len(sa.MI{}) {
		r.n.drawn[sa.MI(b).String()] = true
	}
	return len(b), nil
}

func testConfig(id int) Config {
	return Config{
		SCI: sa.NewSCI([6]byte{2, 0, 0, 0, 0, byte(10 + id)}, 1), Priority: 16, Hello: DefaultHello, Life: DefaultLife,
		Suite: sa.GCMAES256, Encrypt: true, Destination: mkpdu.GroupAddress, EtherType: mkpdu.EtherType,
	}
}

// testKey is the i-th CAK of the tests.
func testKey(i int) Key {
	return Key{CKN: []byte{0xc0, byte(i)}, CAK: secret.New(bytes.Repeat([]byte{byte(0x40 + i)}, 32))}
}

func newWorld(t testing.TB, n int, seed uint64) *world {
	w := &world{t: t, now: time.Second, rng: rand.New(rand.NewPCG(seed, 1)), log: func(string) {}}
	w.delay, w.cut, w.excused = time.Millisecond, map[[2]int]bool{}, map[sa.KeyID]bool{}
	w.bonds, w.made = map[[2]int]bond{}, map[sa.KeyID][]sa.MI{}
	for i := range n {
		w.nodes = append(w.nodes, &node{id: i, cfg: testConfig(i), secy: newFakeSecY(), drawn: map[string]bool{}})
	}
	return w
}

// start brings a node up: a new Entity over whatever its SecY has.
func (w *world) start(i int, keys ...Key) {
	n := w.nodes[i]
	n.cfg.Rand = randSource{rand.New(rand.NewPCG(w.rng.Uint64(), uint64(i))), w, n}
	e, err := New(n.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	n.e, n.up, n.keys = e, true, keys
	w.step(i, Event{Kind: Adopt, Table: n.secy.table(), Saved: n.saved})
	w.step(i, Event{Kind: KeysChanged, Keys: keys})
}

func (n *node) deadline() time.Duration {
	if n.raw != nil {
		return n.raw.helloAt
	}
	return n.e.Deadline()
}

// kill stops a node without a word; its SecY goes on.
func (w *world) kill(i int) {
	n := w.nodes[i]
	n.up, n.e, n.raw, n.held, n.due = false, nil, nil, nil, 0
}

// reboot kills a node and empties its SecY.
func (w *world) reboot(i int) {
	w.kill(i)
	ever := w.nodes[i].secy.ever
	w.nodes[i].secy = newFakeSecY()
	w.nodes[i].secy.ever = ever
}

func (w *world) setKeys(i int, keys ...Key) {
	w.nodes[i].keys = keys
	w.step(i, Event{Kind: KeysChanged, Keys: keys})
}

// step gives a node an event and carries out what comes of it.
func (w *world) step(i int, ev Event) {
	n := w.nodes[i]
	if !n.up {
		return
	}
	if n.raw != nil {
		for _, f := range n.raw.step(w.now, ev.Frame) {
			w.send(i, f)
		}
		w.check()
		return
	}
	for again := true; again; {
		again = false
		out := n.e.Step(w.now, ev, nil)
		w.remember(n.e)
		for _, a := range out {
			switch a.Kind {
			case Send:
				w.send(i, a.Frame)
			case Save:
				n.saved = a.Saved
				if w.slow > 0 {
					n.due = max(w.now, n.due) + time.Duration(w.rng.Int64N(int64(w.slow)))
				}
			case SetPort:
				n.port = a.Port
			case Closed:
				w.kill(i)
				return
			case Tell:
				if a.Report.Kind == TransmitTimeout {
					w.excused[a.Report.Key] = true
				}
				r := a.Report
				r.CKN = bytes.Clone(r.CKN)
				n.told = append(n.told, r)
				w.log(fmt.Sprintf("%8.3fs n%d %s ckn %x sci %s an %d key %s %s", w.now.Seconds(), i, r.Kind, r.CKN, r.SCI, r.AN, r.Key, r.Cause))
			case Change:
				if n.held != nil {
					w.t.Fatalf("%v: n%d: a change while another is under way\n%s", w.now, i, w.dump())
				}
				if install := a.Change.Kind == sa.InstallRx || a.Change.Kind == sa.InstallTx; install && w.now < n.due {
					c := a.Change
					n.held = &c
					continue
				}
				ev, again = Event{Kind: ChangeDone, Err: n.change(a.Change)}, true
			}
		}
		w.check()
	}
	if d := n.deadline(); d <= w.now {
		w.t.Fatalf("%v: n%d: after event %d the deadline is still %v: it spins\n%s", w.now, i, ev.Kind, d, w.dump())
	}
}

// change carries out a change of the SecY.
func (n *node) change(c sa.Change) error {
	if n.fail != nil {
		if err := n.fail(c); err != nil {
			n.secy.faulty = true
			return err
		}
	}
	return n.secy.apply(c)
}

// early gives a node a Tick that is not due. A deadline that sleeps through
// something would show here.
func (w *world) early(i int) {
	n := w.nodes[i]
	if !n.up || n.raw != nil || n.e.Deadline() <= w.now {
		return
	}
	if out := n.e.Step(w.now, Event{Kind: Tick}, nil); len(out) > 0 {
		w.t.Fatalf("%v: n%d: a Tick before the deadline did something: kind %d, report %v %s\n%s", w.now, i, out[0].Kind, out[0].Report.Kind, out[0].Report.Cause, w.dump())
	}
}

func (w *world) send(from int, frame []byte) {
	w.sent++
	if w.tap != nil {
		if frame = w.tap(from, frame); frame == nil {
			return
		}
	}
	for to := range w.nodes {
		if to == from || w.cut[[2]int{from, to}] || w.rng.Float64() < w.loss {
			continue
		}
		copies := 1
		if w.rng.Float64() < w.dup {
			copies = 2
		}
		for range copies {
			at := w.now + w.delay
			if w.jitter > 0 {
				at += time.Duration(w.rng.Int64N(int64(w.jitter)))
			}
			w.wire = append(w.wire, flight{at, to, bytes.Clone(frame)})
		}
	}
}

// next is the instant of the next delivery or deadline.
func (w *world) next() time.Duration {
	d := Never
	for _, f := range w.wire {
		d = min(d, f.at)
	}
	for _, n := range w.nodes {
		if n.up {
			d = min(d, n.deadline())
		}
		if n.held != nil {
			d = min(d, n.due)
		}
	}
	return d
}

// run goes on for a while.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for steps := 0; ; steps++ {
		// A busy node sends 20 a second for each of 3 CKNs.
		if steps > 2_000+2_000*int(d/time.Second) {
			w.t.Fatalf("%v: a deadline that never goes away: %v", w.now, w.next())
		}
		at := w.next()
		if at > end {
			w.now = end
			return
		}
		if w.nosy > 0 && at > w.now && w.rng.Float64() < w.nosy {
			w.now += time.Duration(w.rng.Int64N(int64(at - w.now)))
			w.early(w.rng.IntN(len(w.nodes)))
		}
		w.now = max(w.now, at)
		due := -1
		for i, f := range w.wire {
			if f.at <= w.now && (due < 0 || f.at < w.wire[due].at) {
				due = i
			}
		}
		if due >= 0 {
			f := w.wire[due]
			w.wire = append(w.wire[:due], w.wire[due+1:]...)
			w.step(f.to, Event{Kind: Received, Frame: f.frame})
			continue
		}
		for i, n := range w.nodes {
			if n.held != nil && n.due <= w.now {
				err := n.change(*n.held)
				n.held = nil
				w.step(i, Event{Kind: ChangeDone, Err: err})
			}
			if n.up && n.deadline() <= w.now {
				w.step(i, Event{Kind: Tick})
			}
		}
	}
}

// until runs until a condition holds, and tells how long it took.
func (w *world) until(what string, limit time.Duration, ok func() bool) time.Duration {
	w.t.Helper()
	start := w.now
	for !ok() {
		if w.now-start > limit {
			w.t.Fatalf("%v: not within %v: %s\n%s", w.now, limit, what, w.dump())
		}
		at := w.next()
		if at == Never {
			w.t.Fatalf("%v: nothing will happen any more: %s\n%s", w.now, what, w.dump())
		}
		w.run(max(0, at-w.now))
	}
	return w.now - start
}

// lossy names the pairs of nodes, of those given or of all, between which a
// frame would be lost now.
func (w *world) lossy(among ...int) (lost []string) {
	in := func(n *node) bool { return len(among) == 0 || slices.Contains(among, n.id) }
	for _, a := range w.nodes {
		if !in(a) {
			continue
		}
		tx, ok := a.secy.encodesWith()
		for _, b := range w.nodes {
			if !in(b) {
				continue
			}
			if a == b {
				continue
			}
			if !ok || !b.secy.receives(a.cfg.SCI, tx) {
				lost = append(lost, fmt.Sprintf("n%d->n%d", a.id, b.id))
			}
		}
	}
	return lost
}

// secured tells whether every frame gets through and every port knows it.
func (w *world) secured() bool {
	for _, n := range w.nodes {
		if n.e != nil && n.port != sa.Secured {
			return false
		}
	}
	return len(w.lossy()) == 0
}

// on tells whether all encode under key k and no other SA is left.
func (w *world) on(k Key) func() bool {
	return func() bool {
		if !w.secured() {
			return false
		}
		for _, n := range w.nodes {
			if n.e == nil {
				continue
			}
			st := n.e.State()
			if len(st.SAs) != 1 || len(n.secy.tx) != 1 || !bytes.Equal(st.SAs[0].CKN, k.CKN) {
				return false
			}
			for _, sc := range n.secy.rx {
				if len(sc) != 1 {
					return false
				}
			}
		}
		return true
	}
}

// check holds the invariants after every step.
func (w *world) check() {
	for _, n := range w.nodes {
		if len(n.secy.wrong) > 0 {
			w.t.Fatalf("%v: n%d: %v\n%s", w.now, n.id, n.secy.wrong, w.dump())
		}
		if n.e != nil && !n.e.busy && len(n.e.changes) == 0 && !n.secy.faulty && !n.secy.gutted {
			tx, ok := n.secy.encodesWith()
			if ok != (n.e.encoding >= 0) || ok && n.e.table[n.e.encoding].key != tx.Key {
				w.t.Fatalf("%v: n%d: the SecY encodes with %s (%v), the table says an %d\n%s", w.now, n.id, tx.Key, ok, n.e.encoding, w.dump())
			}
		}
		if n.port == sa.Secured && n.e != nil {
			if _, ok := n.secy.encodesWith(); !ok && len(n.e.changes) == 0 && !n.secy.gutted {
				w.t.Fatalf("%v: n%d is secured and encodes with nothing\n%s", w.now, n.id, w.dump())
			}
		}
	}
	w.checkNonces()
	if len(w.watch) > 0 {
		if l := w.lossy(w.watch...); l != nil {
			w.t.Fatalf("%v: lost %v\n%s", w.now, l, w.dump())
		}
	}
	if w.loose {
		return
	}
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a != b {
				w.checkPair(a, b)
			}
		}
	}
}

func (w *world) dump() string {
	var b bytes.Buffer
	for _, n := range w.nodes {
		fmt.Fprintf(&b, "n%d sci %s up %v port %v encoding %d tx %v\n", n.id, n.cfg.SCI, n.up, n.port, n.secy.encoding, n.secy.tx)
		for sci, sc := range n.secy.rx {
			fmt.Fprintf(&b, "   rx %s %v\n", sci, sc)
		}
		if n.e == nil {
			continue
		}
		st := n.e.State()
		for _, p := range st.Participants {
			fmt.Fprintf(&b, "   ckn %x mi %s principal %v server %s want %v leaving %v\n", p.CKN, p.MI, p.Principal, p.Server, p.Pending, p.Leaving)
			for _, q := range p.Peers {
				fmt.Fprintf(&b, "      peer %s mi %s live %v lists us %v\n", q.SCI, q.MI, q.Live, q.ListsUs)
			}
		}
		for _, s := range st.SAs {
			fmt.Fprintf(&b, "   an %d key %s ckn %x tx %v encoding %v receiving %v pending %v\n", s.AN, s.Key, s.CKN, s.Tx, s.Encoding, s.Receiving, s.Pending)
		}
		fmt.Fprintf(&b, "   changes %v busy %v\n", n.e.changes, n.e.busy)
	}
	return b.String()
}
