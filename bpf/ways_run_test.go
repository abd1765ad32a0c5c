package bpf

import (
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// BPF_PROG_RUN has the kernel send frames of user space's from a port as XDP_TX would,
// or take them for received there: neither hook sees them, nor does the guard. Package
// and doctor say so.
func TestWaysOfProgRun(t *testing.T) {
	w := newWire(t)
	w.quiet(t)
	w.guard(t)
	e := w.attach(t, plain, modes{})
	answering := func(action int32) *ebpf.Program {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, action), asm.Return()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	// A veth takes such frames if it has a program.
	w.do(t, func() error {
		return netlink.LinkSetXdpFdWithFlags(w.peer, answering(xdpPass).FD(), unix.XDP_FLAGS_DRV_MODE)
	})
	in, out := w.listen(t, modes{}), w.arrived(t)
	before := e.counters(t)
	const frames = 8
	for name, c := range map[string]struct {
		action int32
		seen   func() uint64
	}{
		"out": {xdpTx, func() uint64 { return w.arrived(t) - out }},
		"in":  {xdpPass, func() uint64 { return in.count(t) }},
	} {
		context := make([]byte, 24) // struct xdp_md
		native.PutUint32(context[4:], uint32(len(clearFrame)))
		native.PutUint32(context[12:], uint32(w.index()))
		w.do(t, func() error {
			_, err := answering(c.action).Run(&ebpf.RunOptions{Data: clearFrame, Context: context, Repeat: frames, Flags: liveFrames})
			return err
		})
		for deadline := time.Now().Add(10 * time.Second); c.seen() < frames; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d of %d frames: if the kernel has closed this, say so", name, c.seen(), frames)
			}
		}
	}
	if c := e.counters(t); c != before {
		t.Errorf("the filter saw %+v after %+v: say so in doctor", c, before)
	}
}
