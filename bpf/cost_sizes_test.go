package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// many entries are in the larger table, few in the smaller.
const (
	few       = 16
	manyOfAll = 10_000
)

// sized are the tables whose size is varied: what a frame is of, and where in it
// the number is by which they are told, in octets.
var sized = []struct {
	what, packet string
	place        uint32
	fill         func(b *testing.B, n int) pair // the programs, with n entries
}{
	{"SC", "macsec of an SC", 14 + 14 - 2, func(b *testing.B, n int) pair {
		p := measured(b, plain)
		nameSCs(b, p.held(portMapScs), Ingress, 1, n)
		return p
	}},
	{"SPI", "esp in", 14 + 20 + 2, func(b *testing.B, n int) pair {
		return withFlows(b, n, func(i int) FlowID {
			return FlowID{ESP, false, netip.AddrPortFrom(local4, 0), netip.AddrPortFrom(remote4, 0), uint32(i)}
		})
	}},
	{"peer", "wireguard in", 14 + 20, func(b *testing.B, n int) pair {
		return withFlows(b, n, func(i int) FlowID {
			return FlowID{WireGuard, false, netip.AddrPortFrom(local4, 51820), netip.AddrPortFrom(remote4, uint16(i)), 0}
		})
	}},
}

// withFlows is an underlay with the flows from 1 to n.
func withFlows(b *testing.B, n int, number func(i int) FlowID) pair {
	b.Helper()
	f := overlay
	f.Underlay = &Underlay{Protect: hub.Protect}
	p := loaded(b, f)
	u, err := underlayOf(p.held)
	for i := 1; i <= n && err == nil; i++ {
		err = u.add(number(i), uint32(i))
	}
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// reference loads testdata/cost.c, and names the SC of secSCI.
func reference(t testing.TB) *costObjects {
	t.Helper()
	probetest.Need(t, probe.BPF)
	o := &costObjects{}
	if err := loadCostObjects(o, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	if err := o.Ids.Put(sciOf(t, 1), uint32(1)); err != nil {
		t.Fatal(err)
	}
	return o
}

// size is a table's name with so many of it hot, and so many in it.
func size(what string, hot, in int) string {
	return fmt.Sprintf("xdp, %d %ss hot of %d", hot, what, in)
}

// sizes are points of frames whose number changes from one to the next, with few
// and with many in the table; they become points[at:].
func sizes(b *testing.B, c *costObjects, at int) (out []*point) {
	b.Helper()
	bare := bareProgram(b, ebpf.XDP, xdpPass)
	for _, table := range sized {
		frame, _, in, _ := packetNamed(b, table.packet)
		less := at + len(out)
		add := func(name string, hot int, then *ebpf.Program, less int) *point {
			p := &point{
				name: name, prog: c.Scatter, frame: frame, want: xdpPass, less: less,
				setUp: func() error {
					if err := errors.Join(c.Many.Set(uint32(hot)), c.Place.Set(table.place)); err != nil {
						return err
					}
					return c.Then.Put(uint32(0), then)
				},
			}
			out = append(out, p)
			return p
		}
		add("bare XDP, changing the "+table.what, few, bare, -1)
		for _, s := range []struct{ hot, in int }{{few, few}, {few, manyOfAll}, {manyOfAll, manyOfAll}} {
			programs := table.fill(b, s.in)
			p := add(size(table.what, s.hot, s.in), s.hot, programs.in.Program, less)
			b.Cleanup(func() { counted(b, programs, p, portMapIngress, in) })
		}
	}
	return out
}

// pin keeps the benchmark on one processor.
func pin(b *testing.B) {
	b.Helper()
	runtime.LockOSThread()
	b.Cleanup(runtime.UnlockOSThread)
	back, err := onOne()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(back)
}

// onOne has the thread run on the last of its processors alone, until back.
func onOne() (back func(), err error) {
	var old, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		return nil, err
	}
	for i := range len(old) * 64 {
		if old.IsSet(i) {
			one.Zero()
			one.Set(i)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return nil, err
	}
	return func() { _ = unix.SchedSetaffinity(0, &old) }, nil // it was so before
}
