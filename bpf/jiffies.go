package bpf

import (
	"fmt"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// ticks turns jiffies64, by which programs say when something was last seen,
// into times.
type ticks struct {
	jiffies uint64
	now     time.Time
	each    time.Duration
}

// clock is the program that tells jiffies64, which nothing else does. It is loaded
// once: it is attached nowhere, and has no map.
var clock struct {
	sync.Mutex
	*ebpf.Program
}

func clockProgram() (*ebpf.Program, error) {
	clock.Lock()
	defer clock.Unlock()
	if clock.Program != nil {
		return clock.Program, nil
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.Syscall, Flags: unix.BPF_F_SLEEPABLE, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.FnJiffies64.Call(),
		asm.StoreMem(asm.R6, 0, asm.R0, asm.DWord),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}})
	if err != nil {
		return nil, err
	}
	clock.Program = p
	return p, nil
}

// readTicks asks the kernel. A jiffy is the resolution of the clock that goes on once
// a tick (kernel/time/posix-timers.c, posix_get_coarse_res).
func readTicks() (t ticks, err error) {
	p, err := clockProgram()
	if err != nil {
		return t, fmt.Errorf("read jiffies: %w", remedy(err))
	}
	_, err = p.Run(&ebpf.RunOptions{Context: t.jiffies, ContextOut: &t.jiffies})
	t.now = time.Now()
	if err != nil {
		return t, fmt.Errorf("read jiffies: %w", remedy(err))
	}
	var res unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &res); err != nil {
		return t, fmt.Errorf("resolution of the coarse clock: %w", err)
	}
	t.each = time.Duration(res.Nano())
	return t, nil
}

// at is when jiffies64 was that; the zero Time of 0.
func (t ticks) at(jiffies uint64) time.Time {
	if jiffies == 0 {
		return time.Time{}
	}
	return t.now.Add(-time.Duration(max(t.jiffies, jiffies)-jiffies) * t.each)
}
