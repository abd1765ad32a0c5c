package softsecy_test

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// node is a SecY, and the model of it. What is done to one is done to both.
type node struct {
	*run
	secy *softsecy.SecY
	ref  *refSecY
	tx   *softsecy.Transmitter
	rx   []*softsecy.Receiver
	keys [4]sa.SA // of a sender, by AN; without AN's key none
}

// run is a wire with senders at one end and a receiver at the other.
type run struct {
	t        testing.TB
	rnd      *rand.Rand
	senders  []*node
	receiver *node
	kn       uint32
	history  [][]byte // what was sent of late
	held     [][]byte
	received int
}

func (r *run) pick(n int) bool { return r.rnd.IntN(n) == 0 }

func one[T any](r *run, of ...T) T { return of[r.rnd.IntN(len(of))] }

func (r *run) node(c softsecy.Config, receivers int) *node {
	s, err := softsecy.New(c)
	if err != nil {
		r.t.Fatal(err)
	}
	n := &node{run: r, secy: s, ref: newRef(c), tx: s.NewTransmitter()}
	for range receivers {
		n.rx = append(n.rx, s.NewReceiver())
	}
	return n
}

func (n *node) apply(kind sa.ChangeKind, sci sa.SCI, a sa.SA) {
	n.t.Helper()
	c := sa.Change{Kind: kind, SCI: sci, SA: a}
	err := n.secy.Apply(c)
	if ok := n.ref.apply(c); ok != (err == nil) {
		n.t.Fatalf("%s: %v; the model: %v", c, err, ok)
	}
}

func (n *node) setPort(p sa.ControlledPort) {
	n.t.Helper()
	if err := n.secy.SetControlledPort(p); err != nil {
		n.t.Fatal(err)
	}
	n.ref.port = p
}

func (n *node) setParameters(p softsecy.Parameters) {
	n.secy.SetParameters(p)
	n.ref.setParameters(p)
}

// same compares all that the two tell.
func (n *node) same() {
	n.t.Helper()
	n.tx.Flush()
	for _, r := range n.rx {
		r.Flush()
	}
	if got, want := n.secy.Counters(), n.ref.counters(); !reflect.DeepEqual(got, want) {
		n.t.Fatalf("counters after %d frames: %s", n.received, cmp.Diff(want, got))
	}
	var got sa.Table
	if err := n.secy.Observe(&got); err != nil {
		n.t.Fatal(err)
	}
	if want := n.ref.table(); !reflect.DeepEqual(got, want) {
		n.t.Fatalf("table after %d frames: %s", n.received, cmp.Diff(want, got))
	}
}

// startPN is where an SA begins: often shortly before something happens.
func (r *run) startPN() uint64 {
	if !r.receiver.ref.c.Suite.XPN() {
		return one[uint64](r, 1, 1, 1<<31-50, 1<<32-200)
	}
	return one[uint64](r, 1, 1<<32-30, 1<<31, 9<<32-30, 1<<63-40, 1<<64-200, 1+r.rnd.Uint64N(1<<64-1))
}

// rekey gives a sender a fresh key on an AN, and mostly the receiver too.
func (n *node) rekey(an uint8) {
	n.t.Helper()
	sci := n.ref.c.SCI
	if old := n.keys[an]; !old.Key.IsZero() {
		n.apply(sa.DeleteTx, sci, old)
		if !n.pick(8) {
			n.receiver.apply(sa.DeleteRx, sci, old)
		}
	}
	n.kn++
	suite := n.ref.c.Suite
	a := sa.SA{AN: an, Key: sa.KeyID{MI: sa.MI{sci[5]}, KN: n.kn}, PN: n.startPN(), SAK: secret.New(binary.BigEndian.AppendUint32(make([]byte, suite.KeyLen()-4), n.kn))}
	if suite.XPN() {
		a.SSCI = uint32(sci[5]) + 1
		binary.BigEndian.PutUint64(a.Salt[:], n.rnd.Uint64())
	}
	n.keys[an] = a
	n.apply(sa.InstallTx, sci, a)
	if !n.pick(8) {
		n.receiver.apply(sa.InstallRx, sci, a)
	}
	if !n.pick(4) {
		n.apply(sa.Encode, sci, a)
	}
}

// control changes something.
func (r *run) control() {
	n := one(r, r.senders...)
	an := uint8(r.rnd.IntN(4))
	key := n.keys[an]
	sci := n.ref.c.SCI
	switch r.rnd.IntN(13) {
	case 0, 1, 2:
		n.rekey(an)
	case 3:
		n.apply(sa.Encode, sci, key)
	case 4:
		n.apply(sa.DeleteTx, sci, key)
	case 5:
		n.setParameters(r.parameters())
		n.setPort(one(r, sa.Secured, sa.Secured, sa.Secured, sa.Secured, sa.Secured, sa.Unsecured, sa.Clear))
	case 6:
		r.receiver.setParameters(r.parameters())
	case 7:
		r.receiver.setPort(one(r, sa.Secured, sa.Secured, sa.Secured, sa.Secured, sa.Clear, sa.Clear, sa.Unsecured))
	case 8:
		r.receiver.apply(sa.DeleteRx, sci, key)
	case 9:
		if r.pick(6) {
			r.receiver.apply(sa.DeleteSC, sci, key)
		}
		for _, key := range n.keys {
			if !key.Key.IsZero() {
				r.receiver.apply(sa.InstallRx, sci, key)
			}
		}
	case 10:
		if sc := r.receiver.ref.rx[sci]; sc != nil && sc.sa[an] != nil {
			pn := new(big.Int).Add(sc.sa[an].next, big.NewInt(int64(r.rnd.IntN(20)-15)))
			if pn.Sign() > 0 && pn.Cmp(r.receiver.ref.lastPN()) <= 0 {
				key.PN = pn.Uint64()
				r.receiver.apply(sa.RaiseLowestPN, sci, key)
			}
		}
	case 11: // peers of the sender, which decide over the SCI in its SecTAGs
		peer := sa.SCI{9, 7: byte(r.rnd.IntN(2))}
		if key.Key.IsZero() || r.pick(2) {
			n.apply(sa.DeleteSC, peer, key)
		} else {
			n.apply(sa.InstallRx, peer, key)
		}
	case 12:
		r.receiver.same()
		n.same()
	}
}

func (r *run) parameters() softsecy.Parameters {
	p := softsecy.Parameters{Encrypt: r.pick(2), SendSCI: r.pick(2), EndStation: r.pick(3)}
	if r.pick(4) {
		p.MaxMPDU = 100 + r.rnd.IntN(100)
	}
	if !r.pick(3) {
		p.ReplayWindow = new(one(r, uint32(0), 1, 4, 30, 1<<30-1, 1<<32-1))
	}
	return p
}

// octets are DA, the sender's SA mostly, and n more.
func (r *run) octets(n *node, length int) []byte {
	f := make([]byte, 12+length+8)
	for i := 0; i < len(f)-7; i += 8 {
		binary.LittleEndian.PutUint64(f[i:], r.rnd.Uint64())
	}
	if !r.pick(20) {
		copy(f[6:], n.ref.c.SCI[:6])
	}
	return f[:12+length]
}

// send has a sender send a frame; nil if it sends none.
func (r *run) send() []byte {
	n := one(r, r.senders...)
	frame := r.octets(n, one(r, 46, r.rnd.IntN(64), r.rnd.IntN(130), 40))
	buf := make([]byte, 0, len(frame)+softsecy.Headroom+softsecy.ICVLen)
	buf = append(append(append(buf, frame[:12]...), make([]byte, softsecy.Headroom)...), frame[12:]...)
	mpdu, ok := n.tx.Protect(buf)
	if want := n.ref.transmit(frame); ok != (want != nil) || !bytes.Equal(mpdu, want) {
		r.t.Fatalf("a frame of %d octets leaves as %x, in the model as %x", len(frame), mpdu, want)
	}
	return mpdu
}

// forge makes a frame under a sender's key that no SecY of the run would send:
// any form of SecTAG, any PN.
func (r *run) forge() []byte {
	n := one(r, r.senders...)
	a := n.ref.tx[r.rnd.IntN(4)]
	if a == nil {
		return nil
	}
	pn := new(big.Int).Set(a.next)
	pn.Add(pn, big.NewInt(one[int64](r, 0, 1, -1, 3, -4, 1<<31, -1<<31, 1<<31-1, 1<<32, -1<<32, 100)))
	if r.pick(10) {
		pn = num(uint64(r.rnd.IntN(3)))
	}
	if pn.Sign() < 0 || pn.Cmp(n.ref.lastPN()) > 0 {
		return nil
	}
	frame := r.octets(n, one(r, 1, 2, 47, 48, 60))
	sci := n.ref.c.SCI
	flags := one[byte](r, 0x20, 0x2c, 0x40, 0x4c, 0x10, 0x1c, 0x50, 0, 0x0c, 0x24, 0x28, 0x60, 0x30, 0x80) | a.out.AN
	if flags&0x30 == 0x10 {
		sci[7] = 0
	}
	return n.ref.seal(a, frame, flags, sci, pn)
}

// damage does to a frame what no wire should.
func (r *run) damage(f []byte) []byte {
	f = bytes.Clone(f)
	switch r.rnd.IntN(8) {
	case 0:
		return f[:r.rnd.IntN(len(f)+1)]
	case 1:
		return append(f, make([]byte, 1+r.rnd.IntN(20))...)
	case 2:
		return slices.Concat(f[:12], []byte{0x81, 0, 0, 7}, f[12:])
	case 3:
		return f[:min(len(f), 12)]
	case 4:
		return slices.Concat(f[:12], f[min(len(f), 28):])
	case 5:
		if len(f) > 20 {
			f[12+r.rnd.IntN(8)] ^= 1 << r.rnd.IntN(8)
		}
		return f
	}
	for range 1 + r.rnd.IntN(3) {
		f[r.rnd.IntN(len(f))] ^= 1 << r.rnd.IntN(8)
	}
	return f
}

// arrive gives a frame to one of the receiver's goroutines, and to the model.
func (r *run) arrive(f []byte) {
	n := r.receiver
	got, ok := one(r, n.rx...).Validate(bytes.Clone(f))
	want := n.ref.receive(f)
	r.received++
	if ok != (want != nil) || !bytes.Equal(got, want) {
		r.t.Fatalf("frame %d, %x, is delivered as %x, in the model as %x", r.received, f, got, want)
	}
}

// wire lets a frame arrive, and others in its place.
func (r *run) wire(f []byte) {
	switch x := r.rnd.IntN(100); {
	case x < 70:
		r.arrive(f)
	case x < 82:
		r.held = append(r.held, f)
	case x < 88:
		r.arrive(f)
		r.arrive(f)
	case x < 98:
		r.arrive(r.damage(f))
	}
	if len(r.history) < 64 {
		r.history = append(r.history, f)
	} else {
		r.history[r.rnd.IntN(64)] = f
	}
	if r.pick(12) {
		r.arrive(one(r, r.history...))
	}
	if len(r.held) > 0 && r.pick(6) {
		i := r.rnd.IntN(len(r.held))
		r.arrive(r.held[i])
		r.held = slices.Delete(r.held, i, i+1)
	}
}

// newRun makes senders and a receiver of one suite.
func newRun(t testing.TB, rnd *rand.Rand) *run {
	r := &run{t: t, rnd: rnd}
	c := softsecy.Config{Suite: one(r, sa.Suites()...), Should: true}
	if !c.Suite.XPN() {
		c.Offset = one(r, 0, 30, 50)
	}
	c.Parameters = r.parameters()
	c.SCI = sa.SCI{2, 0, 0, 0, 0, 0xff, 0, 1}
	r.receiver = r.node(c, 1+r.rnd.IntN(3))
	for i := range 1 + r.rnd.IntN(3) {
		c.SCI = sa.SCI{2, 0, 0, 0, 0, byte(i), 0, one[byte](r, 1, 1, 0, 7)}
		c.Parameters = r.parameters()
		r.senders = append(r.senders, r.node(c, 0))
	}
	for _, n := range append(r.senders, r.receiver) {
		n.setPort(sa.Secured)
	}
	for _, n := range r.senders {
		n.rekey(uint8(r.rnd.IntN(4)))
	}
	return r
}

// TestModel has the SecY and the model of it on a wire that replays, reorders,
// duplicates, damages and forges, while keys, windows, ports and parameters
// change: each frame must be sent and delivered alike, and all counters and PNs
// be the same.
func TestModel(t *testing.T) {
	frames := 100_000
	if os.Getenv("LINKSEAL_SOAK") == "1" {
		frames = 10_000_000
	}
	const ofRun = 2000
	var total softsecy.Counters
	runs, received := 0, 0
	for ; received < frames; runs++ {
		r := newRun(t, rand.New(rand.NewPCG(802, uint64(runs))))
		for r.received < ofRun {
			if r.pick(40) {
				r.control()
			}
			f := []byte(nil)
			if r.pick(20) {
				f = r.forge()
			} else {
				f = r.send()
			}
			if f != nil {
				r.wire(f)
			}
			if r.pick(300) {
				r.arrive(nil)
			}
		}
		for _, n := range append(r.senders, r.receiver) {
			n.same()
			sum(&total, n.ref.n)
		}
		received += r.received
	}
	t.Logf("%d frames received in %d runs", received, runs)
	// What never happened was not compared.
	each(reflect.ValueOf(&total).Elem(), func(name string, n reflect.Value) {
		t.Logf("%-18s %d", name, n.Uint())
		if never := name == "InPktsUnchecked" || name == "InPktsOverrun"; (n.Uint() == 0) != never {
			t.Errorf("%s is %d", name, n.Uint())
		}
	})
}

// each calls f for every counter.
func each(v reflect.Value, f func(name string, n reflect.Value)) {
	for i := range v.NumField() {
		switch field := v.Field(i); field.Kind() {
		case reflect.Struct:
			each(field, f)
		case reflect.Uint64:
			f(v.Type().Field(i).Name, field)
		}
	}
}

func sum(to *softsecy.Counters, from softsecy.Counters) {
	var n []uint64
	each(reflect.ValueOf(from), func(_ string, v reflect.Value) { n = append(n, v.Uint()) })
	each(reflect.ValueOf(to).Elem(), func(_ string, v reflect.Value) {
		v.SetUint(v.Uint() + n[0])
		n = n[1:]
	})
}
