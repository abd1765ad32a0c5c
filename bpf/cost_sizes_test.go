package bpf

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// manySCs are those of the larger table.
const manySCs = 10_000

// The points of the same SCs in a small and a large table.
const (
	hotInFew  = "xdp, an SCI of 16, 16 in the table"
	hotInMany = "xdp, an SCI of 16, 10000 in the table"
)

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

// sizes are points of frames whose SCI changes from one to the next, with few
// and with many SCs in the table; they become points[at:].
func sizes(b *testing.B, c *costObjects, at int) (out []*point) {
	b.Helper()
	macsec, _, _, _ := packetNamed(b, "macsec of an SC")
	bare := bareProgram(b, ebpf.XDP, xdpPass)
	for _, s := range []struct {
		name           string
		known, scatter int // SCs
	}{
		{"bare XDP, an SCI of 16", 0, 16},
		{hotInFew, 16, 16},
		{hotInMany, manySCs, 16},
		{fmt.Sprintf("xdp, an SCI of %d", manySCs), manySCs, manySCs},
	} {
		then, less := bare, -1
		if s.known > 0 {
			p := measured(b, plain)
			nameSCs(b, p.held(portMapScs), Ingress, 0, s.known-1)
			then, less = p.in.Program, at
			b.Cleanup(func() {
				if n := forgotten(b, p); n != 0 {
					b.Errorf("%s: %d frames were of no SC that is known", s.name, n)
				}
			})
		}
		out = append(out, &point{
			name: s.name, prog: c.Scatter, frame: macsec, want: xdpPass, less: less,
			setUp: func() error {
				if err := c.Many.Set(uint32(s.scatter)); err != nil {
					return err
				}
				return c.Then.Put(uint32(0), then)
			},
		})
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
