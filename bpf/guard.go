package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// ErrNoGuard says that the kernel does not have what the guard needs.
var ErrNoGuard = errors.New("this kernel asks no BPF program about socket options; use Linux 5.8 or later with CONFIG_CGROUP_BPF")

// As guard.c knows sockets.
const (
	mayTransmit = uint32(iota + 1)
	onTrial
)

// Refused is how many sockets a guard has refused in its network namespace.
type Refused struct{ Bypass, XDP uint64 }

// Guard refuses, from now on and until Unguard, in the calling thread's network
// namespace what would transmit past the egress filter of the device with that
// index: PACKET_QDISC_BYPASS, and AF_XDP transmission by sockets that were not
// Admitted. It sees what is asked of the kernel after it: sockets that were so
// before stay so. Nor does it see the calls of 32 bit programs on a kernel of
// 64.
//
// nil says that it was tried: a socket was refused. The guard outlives the
// process, with nothing pinned: it is held by the root of the cgroups that the
// process sees, and guards from there on.
func Guard(ifindex int) error {
	err := withGuard(true, func(g *guard) error {
		at, err := here(ifindex)
		if err != nil {
			return err
		}
		for _, p := range []guardPlace{{Netns: at.Netns}, at} {
			if err := g.guarded.Update(p, guardRefused{}, ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
				return remedy(err)
			}
		}
		if err := g.try(); err != nil {
			return errors.Join(err, g.forget(at), g.close())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("bpf: guard device %d: %w", ifindex, err)
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
		at, err := here(ifindex)
		if err != nil {
			return err
		}
		return errors.Join(g.forget(at), g.close())
	})
	if err != nil {
		return fmt.Errorf("bpf: unguard device %d: %w", ifindex, err)
	}
	return nil
}

// Guarded tells whether the device with that index is guarded, and how many
// sockets were refused in its namespace. It waits for nobody.
func Guarded(ifindex int) (guarded bool, n Refused, err error) {
	at, err := here(ifindex)
	if err == nil {
		err = eachGuard(func(g *guard) error {
			var r guardRefused
			for _, p := range []guardPlace{at, {Netns: at.Netns}} {
				if err := g.guarded.Lookup(p, &r); err != nil {
					if errors.Is(err, ebpf.ErrKeyNotExist) {
						err = nil
					}
					return err
				}
			}
			guarded, n = true, Refused{Bypass: r.Bypass, XDP: r.Xdp}
			return nil
		})
	}
	if err != nil {
		return false, Refused{}, fmt.Errorf("bpf: the guard of device %d: %w", ifindex, err)
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

// here is the place of a device of the calling thread's namespace.
func here(ifindex int) (p guardPlace, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return p, err
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return p, fmt.Errorf("the namespace's cookie: %w", err)
	}
	return guardPlace{Netns: cookie, Ifindex: uint32(ifindex)}, nil
}

// forget takes a place out, and its namespace with the last.
func (g *guard) forget(at guardPlace) error {
	if err := g.guarded.Delete(at); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	all, err := entries[guardPlace, guardRefused](g.guarded)
	if err != nil {
		return err
	}
	for p := range all {
		if p.Netns == at.Netns && p.Ifindex != 0 {
			return nil
		}
	}
	if err := g.guarded.Delete(guardPlace{Netns: at.Netns}); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
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
	err := link.RawDetachProgram(link.RawDetachProgramOptions{Target: g.cgroup, Program: g.Program, Attach: ebpf.AttachCGroupSetsockopt})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return remedy(err)
	}
	return nil
}

// try has a socket refused, which is not counted.
func (g *guard) try() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
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
