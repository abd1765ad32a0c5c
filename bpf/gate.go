package bpf

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// shutFor is how long a gate stays shut at the most. It opens by itself
	// then, whatever has become of who shut it.
	shutFor = 5 * time.Millisecond
	// insideFor is how long frames may take to leave the device.
	insideFor = 3 * time.Millisecond
)

// Gate stands in front of a MACsec device's transmission. It does nothing until
// While shuts it. It is not safe for concurrent use.
type Gate struct {
	shut, busy *ebpf.Map
	detach     []func() error
}

// PrepareGate makes what OpenGate needs on the devices with those indices, in
// the calling thread's network namespace. It is for when they carry no traffic
// yet: to add a clsact qdisc the kernel stops the device's queues for a moment
// (net/sched/sch_api.c, qdisc_graft), and what is sent then is lost. It does
// nothing where the qdisc is there, or the kernel has TCX.
func PrepareGate(ifindex ...int) error {
	for _, i := range ifindex {
		l, err := netlink.LinkByIndex(i)
		if err != nil {
			return fmt.Errorf("bpf: prepare the gate of device %d: %w", i, err)
		}
		_, _, ok, err := portEgress(l).findTCX()
		if err == nil && !ok {
			err = addClsact(l)
		}
		if err != nil {
			return fmt.Errorf("bpf: prepare the gate of device %s: %w", l.Attrs().Name, err)
		}
	}
	return nil
}

// OpenGate attaches an open gate to the MACsec device with the index upper and
// the port with the index lower under it, in the calling thread's network
// namespace, after PrepareGate. With TCX it ends with the process; in a clsact
// qdisc one that was left behind is open, and is replaced by the next.
func OpenGate(upper, lower int) (*Gate, error) {
	var obj gateObjects
	if err := loadGateObjects(&obj, nil); err != nil {
		return nil, fmt.Errorf("bpf: load the gate: %w", remedy(err))
	}
	defer obj.gatePrograms.Close()
	g := &Gate{shut: obj.Shut, busy: obj.Busy}
	// First where frames leave: one that was never seen to leave is waited for
	// in vain.
	for _, h := range []struct {
		ifindex int
		prog    *ebpf.Program
		name    string
		pref    uint16
		anchor  link.Anchor
	}{
		{lower, obj.LinksealLeave, gateProgLinksealLeave, 2, link.Tail()}, // after the filter
		{upper, obj.LinksealEnter, gateProgLinksealEnter, 1, link.Head()},
	} {
		detach, err := attachGate(h.ifindex, h.prog, h.name, h.pref, h.anchor)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("bpf: attach the gate to device %d: %w", h.ifindex, remedy(err)), g.Close())
		}
		g.detach = append(g.detach, detach)
	}
	return g, nil
}

// attachGate attaches one program in egress, for as long as nothing detaches it.
func attachGate(ifindex int, p *ebpf.Program, name string, pref uint16, anchor link.Anchor) (detach func() error, err error) {
	l, err := link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: p, Attach: ebpf.AttachTCXEgress, Anchor: anchor})
	switch {
	case err == nil:
		return l.Close, nil
	case !errors.Is(err, unix.EINVAL) && !errors.Is(err, ebpf.ErrNotSupported):
		return nil, fmt.Errorf("TCX: %w", err)
	}
	dev, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return nil, err
	}
	if err := addClsact(dev); err != nil {
		return nil, err
	}
	f := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: ifindex, Parent: netlink.HANDLE_MIN_EGRESS,
			// A handle that others, who count from 1, do not have.
			Priority: pref, Handle: gateHandle, Protocol: unix.ETH_P_ALL,
		},
		Name: name, Fd: p.FD(), DirectAction: true,
	}
	if err := netlink.FilterReplace(f); err != nil {
		return nil, fmt.Errorf("clsact egress filter: %w", err)
	}
	return func() error {
		if err := netlink.FilterDel(f); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("clsact egress filter: %w", err)
		}
		return nil
	}, nil
}

const gateHandle = 0x6c73

// While calls change once, and returns its error, while no frame is between
// the device's egress hook and the port's: those that come wait at the gate.
// torn says why a frame may have been inside nonetheless; "" if none was:
// frames did not come out within 3 ms, which those that the device drops never
// do, or change took longer than the gate stays shut, 5 ms in all.
func (g *Gate) While(change func() error) (torn string, err error) {
	if n, err := ebpf.PossibleCPU(); err == nil && n == 1 {
		// Nothing can be in the device while we run, and who waited at the
		// gate would have the one processor.
		return "", change()
	}
	inside, until, err := g.close()
	defer g.shut.Put(uint32(0), uint64(0))
	if err != nil {
		return "the gate was not shut", errors.Join(fmt.Errorf("bpf: shut the gate: %w", err), change())
	}
	err = change()
	if now, e := monotonic(); e == nil && now > until {
		torn = fmt.Sprintf("the change took %v longer than the gate stays shut", now-until)
	}
	if inside > 0 {
		torn = fmt.Sprintf("%d frames did not come out of the device", inside)
	}
	return torn, err
}

// close shuts the gate and waits until nothing is inside.
func (g *Gate) close() (inside int, until time.Duration, err error) {
	start, err := monotonic()
	if err != nil {
		return 0, 0, err
	}
	until = start + shutFor
	if err := g.shut.Put(uint32(0), uint64(until)); err != nil {
		return 0, until, err
	}
	for {
		// Asleep, so that a processor is free for what is inside. Go's own
		// sleep is a millisecond at the least when the process is idle.
		nap := unix.NsecToTimespec(int64(20 * time.Microsecond))
		if err := unix.Nanosleep(&nap, nil); err != nil && err != unix.EINTR {
			return 0, until, err
		}
		var cpus []uint64
		if err := g.busy.Lookup(uint32(0), &cpus); err != nil {
			return 0, until, err
		}
		inside = 0
		for _, n := range cpus {
			inside += int(n)
		}
		now, err := monotonic()
		if err != nil || inside == 0 || now-start > insideFor {
			return inside, until, err
		}
	}
}

// monotonic is the time as BPF programs have it: bpf_ktime_get_ns.
func monotonic() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return time.Duration(t.Nano()), err
}

// Close takes the gate away.
func (g *Gate) Close() error {
	var errs []error
	for _, detach := range g.detach {
		errs = append(errs, detach())
	}
	g.detach = nil
	return errors.Join(append(errs, g.shut.Close(), g.busy.Close())...)
}
