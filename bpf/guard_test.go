package bpf

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	afxdp "github.com/linkseal/linkseal/linux/xsk"
)

func (w *testWire) guard(t *testing.T) {
	t.Helper()
	w.attach(t, plain, modes{})
	w.do(t, func() error { return guardHere(w.index()) })
	t.Cleanup(func() { w.do(t, func() error { return Unguard(w.index()) }) })
}

// bypass asks for PACKET_QDISC_BYPASS in ns.
func bypass(ns *netns.NS) error {
	return ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	})
}

func openXSK(ns *netns.NS, l netlink.Link, admit func(int) error) error {
	return ns.Do(func() error {
		s, err := afxdp.Open(l.Attrs().Index, afxdp.Options{Queues: 1, Frame: 1514, Admit: admit})
		if err != nil {
			return err
		}
		return s.Close()
	})
}

// guardHere is Guard, and inPart any answer of the guard's: that the tests may run
// in a container, whose cgroups' root is not the machine's, is all the same to them.
func guardHere(index int) error { return inPart(Guard(index)) }

func inPart(err error) error {
	if errors.Is(err, ErrPartial) {
		return nil
	}
	return err
}

// A port's guard refuses what would pass its filter by, in its own namespace.
func TestGuard(t *testing.T) {
	w, other := newWire(t), newWire(t)
	w.do(t, func() error {
		if err := Guard(w.index()); !errors.Is(err, ErrNotAttached) {
			t.Errorf("without a filter: %v", err)
		}
		return nil
	})
	w.guard(t)
	other.attach(t, plain, modes{})
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, afxdp.ErrUnsupported) {
			t.Errorf("%s: %v; want EPERM", what, err)
		}
	}
	allowed := func(what string, err error) {
		t.Helper()
		if err != nil && !errors.Is(err, afxdp.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("PACKET_QDISC_BYPASS", bypass(w.ns))
	refused("AF_XDP", openXSK(w.ns, w.port, nil))
	refused("AF_XDP, twice", openXSK(w.ns, w.port, nil))
	want := Refused{Bypass: 1, XDP: 2}
	if err := openXSK(other.ns, other.port, nil); errors.Is(err, afxdp.ErrUnsupported) {
		want.XDP = 0
	}
	allowed("AF_XDP, admitted", openXSK(w.ns, w.port, Admit))
	allowed("PACKET_QDISC_BYPASS elsewhere", bypass(other.ns))
	allowed("AF_XDP elsewhere", openXSK(other.ns, other.port, nil))
	w.do(t, func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		// Another option, and one whose value is longer than the program has of it.
		long := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, string(make([]byte, 3*4096)))
		return errors.Join(unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_LOSS, 1), long)
	})
	w.do(t, func() error {
		there, n, err := Guarded(w.index())
		err = inPart(err)
		if err == nil && (n != want || !there) {
			t.Errorf("guarded: %t, refused %+v; want %+v", there, n, want)
		}
		return err
	})

	// Another's end is not ours.
	other.do(t, func() error { return errors.Join(guardHere(other.index()), Unguard(other.index())) })
	allowed("PACKET_QDISC_BYPASS in the other's, unguarded", bypass(other.ns))
	refused("PACKET_QDISC_BYPASS after another's end", bypass(w.ns))
	w.do(t, func() error { return Unguard(w.index()) })
	allowed("PACKET_QDISC_BYPASS, unguarded", bypass(w.ns))
	allowed("AF_XDP, unguarded", openXSK(w.ns, w.port, nil))
}

// The guard outlives the process, and another version's is replaced without an
// open moment.
func TestGuardLasts(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{})
	t.Cleanup(func() { w.do(t, func() error { return Unguard(w.index()) }) })
	w.guardChild(t, nil, "guard %d", w.index())
	if err := bypass(w.ns); !errors.Is(err, unix.EPERM) {
		t.Fatalf("after the process: %v", err)
	}

	stop, done := make(chan struct{}), make(chan [2]int)
	go func() {
		n := [2]int{}
		for {
			select {
			case <-stop:
				done <- n
				return
			default:
				n[0]++
				if !errors.Is(bypass(w.ns), unix.EPERM) {
					n[1]++
				}
			}
		}
	}()
	before := guardTag(t)
	for range 5 {
		if now, err := otherGuard(); err != nil || now == before {
			t.Errorf("the guard is not another version's: %s, %v", now, err)
		}
		w.do(t, func() error { return guardHere(w.index()) })
		if now := guardTag(t); now != before {
			t.Errorf("guard %s became %s", before, now)
		}
	}
	close(stop)
	if n := <-done; n[1] > 0 || n[0] == 0 {
		t.Errorf("%d of %d sockets had PACKET_QDISC_BYPASS meanwhile", n[1], n[0])
	}
}

// otherGuard replaces the guard with one whose instructions differ, and returns its
// tag: who else guards a port of this machine replaces it again.
func otherGuard() (tag string, err error) {
	err = withGuard(false, func(g *guard) error {
		spec, err := loadGuard()
		if err != nil {
			return err
		}
		p := spec.Programs[guardProgLinksealGuard]
		first := asm.Mov.Imm(asm.R0, 0)
		first.Metadata = p.Instructions[0].Metadata
		rest := append(asm.Instructions{}, p.Instructions...)
		rest[0].Metadata = asm.Metadata{}
		p.Instructions = append(asm.Instructions{first}, rest...)
		all, err := renewGuard(g.cgroup, spec, []*guard{g})
		for _, n := range all {
			if n != g {
				n.Close()
			}
		}
		if err == nil {
			tag, err = tagAt(g.cgroup)
		}
		return err
	})
	return tag, err
}

// tagAt is the tag of the one guard that is attached there.
func tagAt(cgroup int) (tag string, err error) {
	all, err := findGuards(cgroup)
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("%d guards", len(all))
	}
	for _, g := range all {
		tag = g.tag
		g.Close()
	}
	return tag, err
}

func guardTag(t *testing.T) (tag string) {
	t.Helper()
	err := withGuard(false, func(g *guard) (err error) {
		if g == nil {
			return errors.New("there is no guard")
		}
		tag, err = tagAt(g.cgroup)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

// The root of the cgroups is for programs to be attached to, and no way to move or to
// kill a process.
func TestRootIsReadOnly(t *testing.T) {
	fd, err := cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, name := range []string{"cgroup.procs", "cgroup.subtree_control"} {
		w, err := unix.Openat(fd, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(w)
		}
		if !errors.Is(err, unix.EROFS) {
			t.Errorf("%s opened for writing: %v", name, err)
		}
	}
	if err := unix.Mkdirat(fd, "linkseal-test", 0o755); !errors.Is(err, unix.EROFS) {
		unix.Unlinkat(fd, "linkseal-test", unix.AT_REMOVEDIR)
		t.Errorf("a cgroup was made: %v", err)
	}
}
