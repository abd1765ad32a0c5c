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
	// sound is false while the standard's transmit timeout excuses a member
	// that cannot receive.
	excused bool
	// watch fails the test at any instant at which one of these nodes could
	// not receive from another.
	watch []int
	log   func(string)
	sent    int
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
	id     int
	cfg    Config
	e      *Entity
	secy   *fakeSecY
	saved  Saved
	keys   []Key
	up     bool
	port   sa.ControlledPort
	told   []Report
	fail   func(sa.Change) error
	closed bool
}

// fakeSecY keeps an SA table and finds what no SecY may be asked.
type fakeSecY struct {
	encoding int
	tx       map[uint8]sa.TxState
	rx       map[sa.SCI]map[uint8]sa.RxState
	ever     map[string]bool // SC and key identifier that were installed
	wrong    []string
}

func newFakeSecY() *fakeSecY {
	return &fakeSecY{encoding: -1, tx: map[uint8]sa.TxState{}, rx: map[sa.SCI]map[uint8]sa.RxState{}, ever: map[string]bool{}}
}

func (f *fakeSecY) bad(format string, a ...any) error {
	err := fmt.Errorf(format, a...)
	f.wrong = append(f.wrong, err.Error())
	return err
}

func (f *fakeSecY) once(what string, k sa.KeyID) error {
	id := what + k.String()
	if f.ever[id] {
		return f.bad("%s: key identifier installed twice", id)
	}
	f.ever[id] = true
	return nil
}

func (f *fakeSecY) apply(c sa.Change) error {
	an := c.SA.AN
	switch c.Kind {
	case sa.InstallTx:
		if s, ok := f.tx[an]; ok {
			if s.Key == c.SA.Key {
				return nil
			}
			return f.bad("tx an %d has %s, asked for %s", an, s.Key, c.SA.Key)
		}
		if len(c.SA.SAK.Bytes()) == 0 {
			return f.bad("tx an %d without a SAK", an)
		}
		if err := f.once("tx ", c.SA.Key); err != nil {
			return err
		}
		f.tx[an] = sa.TxState{AN: an, Key: c.SA.Key, PN: c.SA.PN}
	case sa.InstallRx:
		sc := f.rx[c.SCI]
		if sc == nil {
			sc = map[uint8]sa.RxState{}
			f.rx[c.SCI] = sc
		}
		if s, ok := sc[an]; ok {
			if s.Key == c.SA.Key {
				return nil
			}
			return f.bad("rx %s an %d has %s, asked for %s", c.SCI, an, s.Key, c.SA.Key)
		}
		if err := f.once("rx "+c.SCI.String()+" ", c.SA.Key); err != nil {
			return err
		}
		sc[an] = sa.RxState{SCI: c.SCI, AN: an, Key: c.SA.Key, PN: c.SA.PN}
	case sa.Encode:
		if f.tx[an].Key != c.SA.Key {
			return f.bad("encode an %d key %s: not installed", an, c.SA.Key)
		}
		f.encoding = int(an)
	case sa.DeleteTx:
		if f.tx[an].Key == c.SA.Key {
			delete(f.tx, an)
		}
	case sa.DeleteRx:
		if f.rx[c.SCI][an].Key == c.SA.Key {
			delete(f.rx[c.SCI], an)
		}
	case sa.DeleteSC:
		delete(f.rx, c.SCI)
	}
	return nil
}

func (f *fakeSecY) table() *sa.Table {
	t := &sa.Table{Encoding: uint8(max(f.encoding, 0))}
	for an := range uint8(4) {
		if s, ok := f.tx[an]; ok {
			t.Tx = append(t.Tx, s)
		}
	}
	for _, sc := range f.rx {
		for _, s := range sc {
			t.Rx = append(t.Rx, s)
		}
	}
	slices.SortFunc(t.Rx, func(a, b sa.RxState) int {
		return bytes.Compare(append(a.SCI[:], a.AN), append(b.SCI[:], b.AN))
	})
	return t
}

// encodesWith is the key of what the SecY transmits; false if it transmits
// nothing.
func (f *fakeSecY) encodesWith() (sa.TxState, bool) {
	if f.encoding < 0 {
		return sa.TxState{}, false
	}
	s, ok := f.tx[uint8(f.encoding)]
	return s, ok
}

// receives tells whether a frame of sci under that SA would be accepted.
func (f *fakeSecY) receives(sci sa.SCI, tx sa.TxState) bool { return f.rx[sci][tx.AN].Key == tx.Key }

type randSource struct{ *rand.Rand }

func (r randSource) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.Uint32())
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
	w.delay, w.cut = time.Millisecond, map[[2]int]bool{}
	for i := range n {
		w.nodes = append(w.nodes, &node{id: i, cfg: testConfig(i), secy: newFakeSecY()})
	}
	return w
}

// start brings a node up: a new Entity over whatever its SecY has.
func (w *world) start(i int, keys ...Key) {
	n := w.nodes[i]
	n.cfg.Rand = randSource{rand.New(rand.NewPCG(w.rng.Uint64(), uint64(i)))}
	e, err := New(n.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	n.e, n.up, n.keys = e, true, keys
	w.step(i, Event{Kind: Adopt, Table: n.secy.table(), Saved: n.saved})
	w.step(i, Event{Kind: KeysChanged, Keys: keys})
}

// kill stops a node without a word; its SecY goes on.
func (w *world) kill(i int) { w.nodes[i].up, w.nodes[i].e = false, nil }

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
	for again := true; again; {
		again = false
		for _, a := range n.e.Step(w.now, ev, nil) {
			switch a.Kind {
			case Send:
				w.send(i, a.Frame)
			case Save:
				n.saved = a.Saved
			case SetPort:
				n.port = a.Port
			case Tell:
				if a.Report.Kind == TransmitTimeout {
					w.excused = true
				}
				r := a.Report
				r.CKN = bytes.Clone(r.CKN)
				n.told = append(n.told, r)
				w.log(fmt.Sprintf("%8.3fs n%d %s ckn %x sci %s an %d key %s %s", w.now.Seconds(), i, r.Kind, r.CKN, r.SCI, r.AN, r.Key, r.Cause))
			case Change:
				var err error
				if n.fail != nil {
					err = n.fail(a.Change)
				}
				if err == nil {
					err = n.secy.apply(a.Change)
				}
				ev, again = Event{Kind: ChangeDone, Err: err}, true
			}
		}
		w.check()
	}
}

func (w *world) send(from int, frame []byte) {
	w.sent++
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
			d = min(d, n.e.Deadline())
		}
	}
	return d
}

// run goes on for a while.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for steps := 0; ; steps++ {
		if steps > 2_000_000 {
			w.t.Fatalf("%v: a deadline that never goes away: %v", w.now, w.next())
		}
		at := w.next()
		if at > end {
			w.now = end
			return
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
			if n.up && n.e.Deadline() <= w.now {
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
		if n.up && n.port != sa.Secured {
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
		if n.port == sa.Secured && n.up {
			if _, ok := n.secy.encodesWith(); !ok && len(n.e.changes) == 0 {
				w.t.Fatalf("%v: n%d is secured and encodes with nothing\n%s", w.now, n.id, w.dump())
			}
		}
	}
	if len(w.watch) > 0 {
		if l := w.lossy(w.watch...); l != nil {
			w.t.Fatalf("%v: lost %v\n%s", w.now, l, w.dump())
		}
	}
	if w.excused {
		return
	}
	for _, a := range w.nodes {
		tx, ok := a.secy.encodesWith()
		if !ok || !a.up {
			continue
		}
		for _, b := range w.nodes {
			if a == b || !b.up || !w.mutual(a, b, tx.Key) {
				continue
			}
			if !b.secy.receives(a.cfg.SCI, tx) {
				w.t.Fatalf("%v: n%d encodes with %s an %d, which live n%d cannot receive\n%s", w.now, a.id, tx.Key, tx.AN, b.id, w.dump())
			}
		}
	}
}

// mutual tells whether two nodes hold each other live in the CA whose SAK is
// k, under their present MIs, and that SAK was made for both.
func (w *world) mutual(a, b *node, k sa.KeyID) bool {
	an := a.e.find(k)
	if an < 0 || a.e.table[an].owner == nil {
		return false
	}
	s := &a.e.table[an]
	pb := b.e.byCKN(s.owner.ckn)
	if pb == nil {
		return false
	}
	qb := s.owner.byMI(&pb.mi)
	qa := pb.byMI(&s.owner.mi)
	if qa == nil || qb == nil || !qa.live || !qb.live {
		return false
	}
	// A member that came later is owed a fresh SAK, not this one.
	if server := w.serverNode(s.server); server != nil && server.up {
		if an := server.e.find(k); an >= 0 {
			t := &server.e.table[an]
			for _, m := range []*participant{s.owner, pb} {
				if t.owner == nil || m.mi != t.owner.mi && !slices.Contains(t.members, m.mi) {
					return false
				}
			}
			return true
		}
	}
	return false
}

func (w *world) serverNode(sci sa.SCI) *node {
	for _, n := range w.nodes {
		if n.cfg.SCI == sci {
			return n
		}
	}
	return nil
}

func (w *world) dump() string {
	var b bytes.Buffer
	for _, n := range w.nodes {
		fmt.Fprintf(&b, "n%d sci %s up %v port %v encoding %d tx %v\n", n.id, n.cfg.SCI, n.up, n.port, n.secy.encoding, n.secy.tx)
		for sci, sc := range n.secy.rx {
			fmt.Fprintf(&b, "   rx %s %v\n", sci, sc)
		}
		if !n.up {
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
