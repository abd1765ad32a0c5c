package bpf

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/packet/unbound"
)

// ErrNoGuard says that the kernel does not have what the guard needs.
var ErrNoGuard = errors.New("this kernel asks no BPF program about socket options; use Linux 5.8 or later with CONFIG_CGROUP_BPF")

// ErrPartial says that a guard stands which not all of the network namespace's
// sockets meet.
var ErrPartial = errors.New("this process is in a cgroup namespace, and the guard is at the root of that: " +
	"a process outside of it that shares the port's network namespace is not refused; run linkseal outside (--cgroupns=host), or give the port a network namespace of its own")

// As guard.c knows sockets.
const (
	mayTransmit = uint32(iota + 1)
	onTrial
)

// trialIndex is no device's.
const trialIndex = 1<<31 - 1

// Refused is how many sockets a guard has refused in its network namespace.
type Refused struct{ Bypass, XDP uint64 }

// Guard refuses, from now on and until Unguard, in the calling thread's network
// namespace what would transmit past the egress filter of the device with that
// index, which is attached: PACKET_QDISC_BYPASS, and AF_XDP transmission by sockets
// that were not Admitted. It sees what is asked of the kernel after it: sockets that
// were so before stay so. Nor does it see the calls of 32 bit programs on a kernel
// of 64.
//
// nil says that it was tried: a socket was refused. ErrPartial says that too, but that
// the process sees a part of the cgroups alone, which the guard is for. The guard outlives the
// process, with nothing pinned: it is held by the root of the cgroups that the
// process sees, and guards from there on. It ends with the filter: those of devices
// that have gone are swept out when the guard is changed next.
func Guard(ifindex int) error {
	err := ofFilter(ifindex, func(filter ebpf.MapID, h *hooks) error {
		return withGuard(true, func(g *guard) error {
			stood, err := g.begin(ifindex, filter)
			if err == nil && !stood {
				if err = h.openMaps(portMapNames); err == nil {
					err = tellOpened(h.pair().held(portMapNames), noGuard, time.Now())
				}
			}
			if err != nil {
				return err
			}
			return whole(g.cgroup)
		})
	})
	if err != nil {
		return fmt.Errorf("bpf: guard device %d: %w", ifindex, err)
	}
	return nil
}

// TryGuard guards the calling thread's network namespace for a moment, and tells
// what became of it. It sweeps out what is of devices that have gone.
func TryGuard() error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "trial", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("bpf: try the guard: %w", remedy(err))
	}
	defer m.Close()
	info, err := m.Info()
	if err == nil {
		err = withGuard(true, func(g *guard) error {
			id, _ := info.ID()
			_, err := g.begin(trialIndex, id)
			return errors.Join(err, g.end(trialIndex), whole(g.cgroup))
		})
	}
	if err != nil {
		return fmt.Errorf("bpf: try the guard: %w", err)
	}
	return nil
}

// Unguard is the end of Guard, of a device that may be gone. The last takes the
// program away.
func Unguard(ifindex int) error {
	err := withGuard(false, func(g *guard) error {
		if g == nil {
			return nil
		}
		return g.end(ifindex)
	})
	if err != nil {
		return fmt.Errorf("bpf: unguard device %d: %w", ifindex, err)
	}
	return nil
}

// Guarded tells whether the device with that index is guarded, and how many
// sockets were refused in its namespace. A guard that was there for an earlier
// filter of the device does not count. ErrPartial comes with both. It waits for
// nobody.
func Guarded(ifindex int) (guarded bool, n Refused, err error) {
	err = ofFilter(ifindex, func(filter ebpf.MapID, _ *hooks) error {
		at, err := here(ifindex)
		if err != nil {
			return err
		}
		return eachGuard(func(g *guard) error {
			port, stands, err := g.look(at)
			if err != nil || !stands || port.filter() != filter {
				return err
			}
			r, stands, err := g.look(guardPlace{Netns: at.Netns})
			if err != nil || !stands {
				return err
			}
			guarded, n = true, Refused{Bypass: r.Bypass, XDP: r.Xdp}
			return whole(g.cgroup)
		})
	})
	if err != nil && !errors.Is(err, ErrNotAttached) {
		return guarded, n, fmt.Errorf("bpf: the guard of device %d: %w", ifindex, err)
	}
	return guarded, n, nil
}

// Admit lets the AF_XDP socket fd transmit where there is a guard, if it comes
// before the socket has a ring for it. Without a guard it does nothing. It waits
// for nobody.
func Admit(fd int) error {
	err := eachGuard(func(g *guard) error { return g.known.Put(int32(fd), mayTransmit) })
	if err != nil {
		return fmt.Errorf("bpf: admit a socket to guarded devices: %w", remedy(err))
	}
	return nil
}

// guard is the program with its maps as the cgroup has it.
type guard struct {
	*program
	cgroup         int
	guarded, known *ebpf.Map
}

// close takes the program away if nothing is guarded any more.
func (g *guard) close() error {
	var p guardPlace
	if err := g.guarded.NextKey(nil, &p); !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return g.detach()
}

func (g *guard) detach() error {
	if err := g.openProgram(); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	err := link.RawDetachProgram(link.RawDetachProgramOptions{Target: g.cgroup, Program: g.Program, Attach: ebpf.AttachCGroupSetsockopt})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return remedy(err)
	}
	return nil
}

// try has a socket refused, which is not counted.
func (g *guard) try() error {
	fd, err := unbound.Open(unix.SOCK_RAW)
	if err != nil {
		return fmt.Errorf("try it with a packet socket: %w", remedy(err))
	}
	defer unix.Close(fd)
	if err := g.known.Put(int32(fd), onTrial); err != nil {
		return fmt.Errorf("try it: %w", remedy(err))
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("tried in vain, a socket got PACKET_QDISC_BYPASS (%v): %w", err, ErrNoGuard)
	}
	return nil
}
