package mka

import (
	"bytes"
	crand "crypto/rand"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// link is an Entity in steady state with one live peer, whose next MKPDU can
// be had without the cost of making it: the MN is counted up in place, and the
// ICV computed again.
type link struct {
	e     *Entity
	frame []byte
	now   time.Duration
	out   []Action
}

const mnAt = 14 + 4 + 24 // octets before the MN: Ethernet, EAPOL, Basic set

// newLink secures a pair and keeps one of it.
func newLink(tb testing.TB, seed uint64) *link {
	w := newWorld(tb, 2, seed)
	var last []byte
	w.tap = func(from int, frame []byte) []byte {
		if from == 1 {
			last = bytes.Clone(frame)
		}
		return frame
	}
	w.start(0, testKey(1))
	w.start(1, testKey(1))
	w.until("on key 1", 10*time.Second, w.on(testKey(1)))
	w.run(10 * time.Second)
	l := &link{e: w.nodes[0].e, frame: last, now: w.now, out: make([]Action, 0, 8)}
	l.e.cfg.Rand = crand.Reader // not the world's, which could not be collected
	l.receive(tb)
	return l
}

// next makes the peer's next MKPDU: it lists our MN of now.
func (l *link) next() {
	p := l.e.participants[0]
	mn := uint32(l.frame[mnAt])<<24 | uint32(l.frame[mnAt+1])<<16 | uint32(l.frame[mnAt+2])<<8 | uint32(l.frame[mnAt+3])
	put := func(b []byte, v uint32) { b[0], b[1], b[2], b[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v) }
	put(l.frame[mnAt:], mn+1)
	at := bytes.Index(l.frame[mnAt+12:], p.mi[:]) + mnAt + 12
	put(l.frame[at+len(p.mi):], p.mn)
	signed := l.frame[:len(l.frame)-mkpdu.ICVLen]
	p.icv.Append(signed, signed) // all members have one ICK
}

// receive gives the Entity the peer's next MKPDU, and time goes on a little.
func (l *link) receive(tb testing.TB) {
	l.next()
	l.step(tb)
}

func (l *link) step(tb testing.TB) {
	before := l.e.counters.Replayed
	l.out = l.e.Step(l.now, Event{Kind: Received, Frame: l.frame}, l.out[:0])
	if l.e.counters.Replayed != before || l.e.counters.ICVBad > 0 || len(l.e.participants[0].peers) != 1 || l.e.encoding < 0 {
		tb.Fatalf("not the steady state: %+v", l.e.counters)
	}
}

// cpu is the processor time that the process has used: on a machine that is
// busy with other work, a ratio of wall clocks says little.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func took(b *testing.B, start time.Duration) time.Duration {
	return (cpu() - start) / time.Duration(b.N)
}

// BenchmarkStep is Step with a received MKPDU in steady state, beside one
// AES-CMAC of the same octets: the ratio is what the protocol costs.
func BenchmarkStep(b *testing.B) {
	l := newLink(b, 1)
	signed := l.frame[:len(l.frame)-mkpdu.ICVLen]
	p := l.e.participants[0]
	var cmac, making time.Duration
	b.Run("cmac", func(b *testing.B) {
		b.ReportAllocs()
		start := cpu()
		for b.Loop() {
			p.icv.Verify(signed, l.frame[len(signed):])
		}
		cmac = took(b, start)
	})
	b.Run("making", func(b *testing.B) {
		start := cpu()
		for b.Loop() {
			l.next()
		}
		making = took(b, start)
	})
	b.Run("making and received", func(b *testing.B) {
		b.ReportAllocs()
		start := cpu()
		for b.Loop() {
			l.next()
			l.now += time.Millisecond
			l.step(b)
		}
		step := took(b, start) - making
		b.ReportMetric(float64(step.Nanoseconds()), "cpu-ns/step")
		b.ReportMetric(float64(step)/float64(max(cmac, 1)), "x-cmac")
	})
}

// TestStepAllocates: nothing is allocated in steady state, neither for what
// is received nor for the hellos that are sent between, nor for the poll of
// packet numbers.
func TestStepAllocates(t *testing.T) {
	l := newLink(t, 1)
	sent := l.e.counters.Sent
	table := &sa.Table{Encoding: uint8(l.e.encoding)}
	s := &l.e.table[l.e.encoding]
	table.Tx = []sa.TxState{{AN: uint8(l.e.encoding), Key: s.key, PN: 5}}
	for _, r := range s.rx {
		table.Rx = append(table.Rx, sa.RxState{SCI: r.sci, AN: uint8(l.e.encoding), Key: s.key, PN: 5})
	}
	if n := testing.AllocsPerRun(200, func() {
		l.now += 500 * time.Millisecond
		l.receive(t)
		l.out = l.e.Step(l.now, Event{Kind: Tick}, l.out[:0])
		l.out = l.e.Step(l.now, Event{Kind: PacketNumbers, Table: table}, l.out[:0])
	}); n != 0 {
		t.Errorf("%v allocations for a received MKPDU, a Tick and a poll", n)
	}
	if l.e.counters.Sent == sent {
		t.Error("no hello was sent meanwhile")
	}
}

// octetsEach is the most that an Entity may take with a participant, a live
// peer and an SA, all included.
const octetsEach = 8 << 10

// heap is the octets in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// many secures n pairs in turn and keeps one of each.
func many(tb testing.TB, n int) (all []*link, each uint64) {
	all = make([]*link, n)
	before := heap()
	for i := range all {
		all[i] = newLink(tb, uint64(i))
	}
	return all, (heap() - before) / uint64(n)
}

// TestOctetsEach holds the bound with fewer than BenchmarkTenThousand has.
func TestOctetsEach(t *testing.T) {
	all, each := many(t, 200)
	t.Logf("%d octets each", each)
	if each > octetsEach {
		t.Errorf("an Entity with a participant and a live peer takes %d octets, more than %d", each, octetsEach)
	}
	runtime.KeepAlive(all)
}

// BenchmarkTenThousand has ten thousand Entities with a participant and a live
// peer each in one process, and gives each its peer's MKPDUs in turn, so that
// none finds its memory in the cache.
func BenchmarkTenThousand(b *testing.B) {
	all, each := many(b, 10_000)
	b.ReportMetric(float64(each), "octets/entity")
	if each > octetsEach {
		b.Errorf("%d octets each, more than %d", each, octetsEach)
	}
	var making time.Duration
	b.Run("making", func(b *testing.B) {
		start := cpu()
		for i := 0; b.Loop(); i++ {
			all[i%len(all)].next()
		}
		making = took(b, start)
	})
	b.Run("making and received", func(b *testing.B) {
		b.ReportAllocs()
		start := cpu()
		for i := 0; b.Loop(); i++ {
			l := all[i%len(all)]
			l.next()
			l.now += time.Millisecond
			l.step(b)
		}
		b.ReportMetric(float64(took(b, start)-making), "cpu-ns/step")
		b.ReportMetric(float64(each), "octets/entity")
	})
}
