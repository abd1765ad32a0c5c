package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// costs are the points that BenchmarkCost measures, by the packets of the table
// above: what they may cost, net of a bare program, on the machine on which the
// reference costs referenceCost.
var costs = []struct {
	packet string
	side   string  // "xdp" or "tc"
	most   float64 // 0: no limit is set
}{
	{"macsec of an SC", "xdp", 8}, // all counters for what packets and octets alone may cost
	{"802.1ad and 802.1Q over macsec of an SC", "xdp", 12},
	{"ipv4", "xdp", 2},
	{"lldp", "xdp", 0},
	{"esp in", "xdp", 10},
	{"wireguard in", "xdp", 11.5},
	{"tcp to a protected prefix", "xdp", 0},
	{"macsec of an SC", "tc", 10},
	{"802.1ad and 802.1Q over macsec of an SC", "tc", 0},
	{"ipv4", "tc", 0},
	{"esp out", "tc", 0},
	{"wireguard out", "tc", 0},
}

// referenceCost is what testdata/cost.c's reference costs, net and in ns, where
// the limits were set: a processor of 2024 without mitigations in the way of
// calls. Elsewhere a limit is that multiple of the reference in the same run.
const referenceCost = 6.3

// Rounds, each of all points in turn, and how long a point takes in each.
const (
	costRounds = 21
	costTime   = 10 * time.Millisecond
)

// point is one program with one frame.
type point struct {
	name  string
	prog  *ebpf.Program
	frame []byte
	want  uint32 // what the program answers
	less  int    // the point that is subtracted, or -1
	most  float64
	setUp func() error // before it runs, where others have it otherwise

	runs   uint64
	repeat uint32
	best   float64 // ns a frame
}

// run runs it repeat times.
func (p *point) run(repeat uint32) (took time.Duration, err error) {
	if p.setUp != nil {
		if err := p.setUp(); err != nil {
			return 0, err
		}
	}
	took, got, err := runFor(p.prog, &ebpf.RunOptions{Data: p.frame, Repeat: repeat})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.name, err)
	}
	if got != p.want {
		return 0, fmt.Errorf("%s: the last answer is %d, want %d", p.name, int32(got), int32(p.want))
	}
	p.runs += uint64(repeat)
	return took, nil
}

// runFor takes the time itself: the kernel's is in whole nanoseconds. It is the
// thread's on its processor, without that in which the kernel waits until it may
// run the program (bpf_prog_change_xdp).
func runFor(prog *ebpf.Program, o *ebpf.RunOptions) (time.Duration, uint32, error) {
	var begin, end unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &begin); err != nil {
		return 0, 0, err
	}
	got, err := prog.Run(o)
	if err := errors.Join(err, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &end)); err != nil {
		return 0, 0, err
	}
	return time.Duration(end.Nano() - begin.Nano()), got, nil
}

// rounds measures all points in interleaved rounds, and keeps the best of each.
func rounds(n int, each time.Duration, points []*point) error {
	for _, p := range points {
		const first = 10_000
		if _, err := p.run(first); err != nil { // what it touches is touched
			return err
		}
		took, err := p.run(first)
		if err != nil {
			return err
		}
		p.repeat = uint32(max(first, first*each/max(took, 1)))
	}
	for range n {
		for _, p := range points {
			took, err := p.run(p.repeat)
			if err != nil {
				return err
			}
			ns := float64(took.Nanoseconds()) / float64(p.repeat)
			if p.best == 0 || ns < p.best {
				p.best = ns
			}
		}
	}
	return nil
}

func bareProgram(t testing.TB, kind ebpf.ProgramType, answer int32) *ebpf.Program {
	t.Helper()
	spec := &ebpf.ProgramSpec{Type: kind, License: "Dual BSD/GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, answer), asm.Return()}}
	if kind == ebpf.XDP { // as ours, or the map of tail calls refuses it
		spec.AttachType, spec.Flags = ebpf.AttachXDP, unix.BPF_F_XDP_HAS_FRAGS
	}
	p, err := ebpf.NewProgram(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// known is how many SCs fit in the maps of the programs that are measured.
const known = 16384

// measured loads the port's programs with maps for that many SCs.
func measured(t testing.TB, f Filter) pair {
	t.Helper()
	return loadedWith(t, f, func(spec *ebpf.CollectionSpec) {
		spec.Maps[portMapScs].MaxEntries = known
		spec.Maps[portMapSas].MaxEntries = 2 * known
	})
}

// sciOf is the SCI with that port number, of the address in secSCI, as the
// programs have it.
func sciOf(t testing.TB, port uint16) (sci [8]byte) {
	copy(sci[:], octets(t, otherMAC, 6))
	binary.BigEndian.PutUint16(sci[6:], port)
	return sci
}

// nameSCs says that the SCs with port numbers from first to last are there,
// each with a counter of its own for all ANs.
func nameSCs(t testing.TB, scs *ebpf.Map, d Direction, first, last int) {
	t.Helper()
	for i := first; i <= last; i++ {
		n := uint32(i) + 1
		if err := scs.Put(sciOf(t, uint16(i)), portSc{Counter: [4]uint32{n, n, n, n}, Direction: uint32(d)}); err != nil {
			t.Fatal(err)
		}
	}
}

// forgotten are the frames that were counted for no SC.
func forgotten(t testing.TB, p pair) (n uint64) {
	t.Helper()
	var perCPU []portNumbered
	if err := p.held(portMapSas).Lookup(uint32(0), &perCPU); err != nil {
		t.Fatal(err)
	}
	for _, c := range perCPU {
		n += c.Packets
	}
	return n
}

func packetNamed(t testing.TB, name string) (frame []byte, f Filter, in, out portVerdict) {
	t.Helper()
	for _, p := range slices.Concat(packets, underlayPackets) {
		if p.name == name {
			return octets(t, p.frame, 60), p.filter, p.in, p.out
		}
	}
	t.Fatalf("no packet %q in the table", name)
	return nil, f, in, out
}

// BenchmarkCost prints what the programs cost, in one run, best of interleaved
// rounds, net of a bare program.
func BenchmarkCost(b *testing.B) {
	pin(b)
	ref := reference(b)
	macsec, _, _, _ := packetNamed(b, "macsec of an SC")
	points := []*point{
		{name: "bare XDP", prog: bareProgram(b, ebpf.XDP, xdpPass), frame: macsec, want: xdpPass, less: -1},
		{name: "bare tc", prog: bareProgram(b, ebpf.SchedCLS, -1), frame: macsec, want: tcNext, less: -1},
		{name: "reference", prog: ref.Reference, frame: macsec, want: xdpPass, less: 0, most: referenceCost},
	}
	for _, c := range costs {
		frame, filter, in, out := packetNamed(b, c.packet)
		p := measured(b, filter)
		xdp, _ := answers(in)
		_, tc := answers(out)
		pt := &point{name: c.side + ", " + c.packet, prog: p.in.Program, frame: frame, want: xdp, less: 0, most: c.most}
		verdict, side, d := in, portMapIngress, Ingress
		if c.side == "tc" {
			pt.prog, pt.want, pt.less = p.out.Program, tc, 1
			verdict, side, d = out, portMapEgress, Egress
		}
		if filter.Underlay == nil {
			nameSCs(b, p.held(portMapScs), d, 1, 16)
		}
		points = append(points, pt)
		defer func() { counted(b, p, pt, side, verdict) }()
	}
	qinq, _, _, _ := packetNamed(b, "802.1ad and 802.1Q over ipv4")
	for _, rules := range [][]Rule{nil, classed} {
		name := fmt.Sprintf("tc, a secured interface with %d rules, 802.1ad and 802.1Q", len(rules))
		points = append(points, &point{name: name, prog: loadedTags(b, rules).LinksealTx, frame: qinq, want: tcNext, less: 1, most: 10})
	}
	points = append(points, sizes(b, ref, len(points))...)
	if err := rounds(costRounds, costTime, points); err != nil {
		b.Fatal(err)
	}
	fmt.Print(costTable(points))
	b.ReportMetric(0, "ns/op") // of b.N it says nothing
}

// counted tells whether all that ran is counted, and for an SC if it is MACsec.
func counted(b *testing.B, p pair, pt *point, side string, v portVerdict) {
	b.Helper()
	got, err := verdicts(p.held(side))
	if err != nil {
		b.Fatal(err)
	}
	// A run that a signal interrupts is begun again.
	if n := got.of(v).Packets; n < pt.runs {
		b.Errorf("%s: counted %d frames of %d", pt.name, n, pt.runs)
	}
	if n := forgotten(b, p); n != 0 {
		b.Errorf("%s: %d frames were of no SC that is known", pt.name, n)
	}
}
