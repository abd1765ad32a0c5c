package bpf

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// lane is a wire of its own with one thing on its port, and how its frames come.
type lane struct {
	name string
	*testWire
	frame []byte
	send  func(n int) (time.Duration, error) // what n frames take
	into  netlink.Link                       // where they are received; nil: nowhere
	less  int                                // the lane that is subtracted, or -1
	most  float64                            // ns that it may cost, net, where the reference costs referenceCost; 0: no limit
	n     int                                // frames of a round
	best  float64                            // ns a frame
}

const (
	laneRounds = 41
	laneTime   = 4 * time.Millisecond // of a round, and
	laneFrames = 64 * 10              // frames at the least
)

// policy is what the filter enforces, as rules of nftables: each with a counter,
// the cheapest match first.
const policy = `table netdev filter {
	chain in {
		type filter hook ingress device port priority 0; policy drop;
		meta protocol 0x88e5 counter accept
		meta protocol 0x888e ether daddr 01:80:c2:00:00:03 counter accept
		meta protocol 0x888e ether daddr 02:00:00:00:00:01 counter accept
		counter drop
	}
	chain out {
		type filter hook egress device port priority 0; policy drop;
		meta protocol 0x88e5 counter accept
		meta protocol 0x888e ether daddr 01:80:c2:00:00:03 counter accept
		counter drop
	}
}`

// BenchmarkLive prints what a frame of 64 octets costs over a veth, on one
// processor: with a bare program, with the filter in its place, and with the same
// policy as rules of nftables beside the bare one.
func BenchmarkLive(b *testing.B) {
	probetest.NeedTool(b, "nft")
	pin(b)
	macsec, _, _, _ := packetNamed(b, "macsec of an SC")
	clear, _, _, _ := packetNamed(b, "ipv4")
	macsec, clear = append(macsec, 0, 0, 0, 0), append(clear, 0, 0, 0, 0)
	nothing := func(testing.TB, *testWire) {}
	lanes := []*lane{
		ingressLane(b, "in, pass: bare XDP", macsec, xdpPass, nothing),
		ingressLane(b, "in, pass: filter", macsec, 0, withFilter),
		ingressLane(b, "in, pass: nftables", macsec, xdpPass, withRules),
		ingressLane(b, "in, drop: bare XDP", clear, xdpDrop, nothing),
		ingressLane(b, "in, drop: filter", clear, 0, withFilter),
		ingressLane(b, "in, drop: nftables", clear, xdpPass, withRules),
		egressLane(b, "out, pass: bare tc", macsec, -1, nothing),
		egressLane(b, "out, pass: filter", macsec, 0, withFilter),
		egressLane(b, "out, pass: nftables", macsec, -1, withRules),
	}
	for i, l := range lanes {
		l.less = i - i%3
		if i%3 == 0 {
			l.less = -1
		}
	}
	lanes[1].most, lanes[4].most = 12, 4
	for _, l := range lanes {
		if err := l.warm(); err != nil {
			b.Fatalf("%s: %v", l.name, err)
		}
	}
	for range laneRounds {
		for _, l := range lanes {
			if err := l.round(); err != nil {
				b.Fatalf("%s: %v", l.name, err)
			}
		}
	}
	ref := reference(b)
	unit := []*point{
		{name: "bare XDP", prog: bareProgram(b, ebpf.XDP, xdpPass), frame: macsec, want: xdpPass, less: -1},
		{name: "reference", prog: ref.Reference, frame: macsec, want: xdpPass},
	}
	if err := rounds(costRounds, costTime, unit); err != nil {
		b.Fatal(err)
	}
	fmt.Print(laneTable(lanes, unit[1].best-unit[0].best))
	b.ReportMetric(0, "ns/op") // of b.N it says nothing
}

// warm makes a round as long as it is to be.
func (l *lane) warm() error {
	l.n = laneFrames
	if err := l.round(); err != nil || l.best == 0 {
		return err
	}
	l.n = max(laneFrames, int(float64(laneTime.Nanoseconds())/l.best))
	return nil
}

// round keeps the time if every frame has come: one that a full ring took away
// has cost nothing.
func (l *lane) round() error {
	return l.ns.Do(func() error {
		back, err := onOne()
		if err != nil {
			return err
		}
		defer back()
		before, err := received(l.into)
		if err != nil {
			return err
		}
		took, err := l.send(l.n)
		if err != nil {
			return err
		}
		after, err := received(l.into)
		if err != nil {
			return err
		}
		if l.into != nil && after-before < uint64(l.n) {
			return nil
		}
		if ns := float64(took.Nanoseconds()) / float64(l.n); l.best == 0 || ns < l.best {
			l.best = ns
		}
		return nil
	})
}

func received(l netlink.Link) (uint64, error) {
	if l == nil {
		return 0, nil
	}
	l, err := netlink.LinkByIndex(l.Attrs().Index)
	if err != nil {
		return 0, err
	}
	return l.Attrs().Statistics.RxPackets, nil
}

func withFilter(t testing.TB, w *testWire) {
	t.Helper()
	e := w.attach(t, plain, modes{})
	nameSCs(t, e.maps[portMapScs], Ingress, 1, 16)
}

func withRules(t testing.TB, w *testWire) {
	t.Helper()
	c := w.ns.Command("nft", "-f", "-")
	c.Stdin = strings.NewReader(policy)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
}

// ingressLane has frames come from the peer as XDP redirects them. answer is the
// bare program's on the port, if that has one.
func ingressLane(b *testing.B, name string, frame []byte, answer int32, with func(testing.TB, *testWire)) *lane {
	b.Helper()
	l := &lane{name: name, testWire: newWire(b), frame: frame}
	l.into = l.port
	if answer != 0 {
		l.bare(b, l.port, answer)
	}
	with(b, l.testWire)
	source, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Dual BSD/GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(l.peer.Attrs().Index)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { source.Close() })
	l.send = func(n int) (time.Duration, error) { return run(source, frame, n, liveFrames) }
	return l
}

func (l *lane) bare(b *testing.B, on netlink.Link, answer int32) {
	b.Helper()
	p := bareProgram(b, ebpf.XDP, answer)
	l.do(b, func() error { return setXDP(on, Native, p.FD(), -1) })
}

// bareTC puts a bare program where Attach puts the filter's.
func (l *lane) bareTC(b *testing.B, answer int32) {
	b.Helper()
	p, h := bareProgram(b, ebpf.SchedCLS, answer), portEgress(l.port)
	l.do(b, func() error {
		if probe.TCX.Check().OK {
			return h.attachTCX(p, nil, false)
		}
		return h.attachClsact(p)
	})
}

// liveFrames is BPF_F_TEST_XDP_LIVE_FRAMES: what is redirected leaves in truth.
const liveFrames = 2

// run is BPF_PROG_RUN, and what it took by the kernel's clock, which stands while
// others have the processor; the library does not tell it.
func run(p *ebpf.Program, frame []byte, n int, flags uint32) (time.Duration, error) {
	const progRun = 10
	a := struct {
		fd, answer, sizeIn, sizeOut     uint32
		dataIn, dataOut                 uint64
		repeat, duration, ctxIn, ctxOut uint32
		ctx, ctxAfter                   uint64
		flags, cpu, batch, pad          uint32
	}{fd: uint32(p.FD()), sizeIn: uint32(len(frame)), repeat: uint32(n), flags: flags}
	a.dataIn = uint64(uintptr(unsafe.Pointer(&frame[0])))
	for {
		_, _, e := unix.Syscall(unix.SYS_BPF, progRun, uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a))
		switch {
		case e == 0:
			return time.Duration(a.duration) * time.Duration(n), nil
		case e != unix.EINTR:
			return 0, fmt.Errorf("BPF_PROG_RUN: %w", e)
		}
	}
}

// egressLane has frames pass the port's egress hooks and end behind them, in a
// queue that takes none, since the peer is down: a veth costs much more than what
// is to be told. What runs is a tc program that sends a copy of its frame there.
func egressLane(b *testing.B, name string, frame []byte, answer int32, with func(testing.TB, *testWire)) *lane {
	b.Helper()
	l := &lane{name: name, testWire: newWire(b), frame: frame}
	if answer != 0 {
		l.bareTC(b, answer)
	}
	with(b, l.testWire)
	l.do(b, func() error { return netlink.LinkSetDown(l.peer) })
	source, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "Dual BSD/GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R2, int32(l.port.Attrs().Index)),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnCloneRedirect.Call(),
		asm.Return(),
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { source.Close() })
	l.send = func(n int) (time.Duration, error) { return run(source, frame, n, 0) }
	return l
}
