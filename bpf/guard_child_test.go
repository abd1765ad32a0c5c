package bpf

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
)

const guardEnv = "LINKSEAL_BPF_TEST_GUARD" // what guardChild is to do

// guardChild is what another process does. What it prints is its answer.
func guardChild(v string) error {
	var verb string
	var index int
	if _, err := fmt.Sscan(v, &verb, &index); err != nil {
		return err
	}
	switch verb {
	case "guard":
		return guardHere(index)
	case "part":
		err := Guard(index)
		stands, _, errGuarded := Guarded(index)
		ns, errNS := netns.Current()
		if errNS != nil {
			return errNS
		}
		fmt.Printf("guard partial %t, guarded %t, partial %t, trial partial %t; inside: %v", errors.Is(err, ErrPartial), stands,
			errors.Is(errGuarded, ErrPartial), errors.Is(TryGuard(), ErrPartial), bypass(ns))
		return errors.Join(Unguard(index), ns.Close())
	case "options":
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		// One whose value is longer than the program has of it, too.
		err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TOS, 0x10), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 5),
			unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, string(make([]byte, 3*4096))))
		tos, errTOS := unix.GetsockoptInt(fd, unix.SOL_IP, unix.IP_TOS)
		priority, errPriority := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY)
		fmt.Printf("tos %#x, priority %d", tos, priority)
		return errors.Join(err, errTOS, errPriority)
	}
	return fmt.Errorf("%q is unknown", verb)
}

// guardChild has another process do something in the namespace of the wire.
func (w *testWire) guardChild(t *testing.T, how *syscall.SysProcAttr, format string, args ...any) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := w.ns.Command(self)
	cmd.Env = append(os.Environ(), guardEnv+"="+fmt.Sprintf(format, args...))
	cmd.SysProcAttr = how
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	return string(out)
}

// newCgroup makes a cgroup for children and opens it.
func newCgroup(t *testing.T) int {
	t.Helper()
	root, err := openRoot(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(root) })
	name := fmt.Sprintf("linkseal-test-%d", os.Getpid())
	if err := unix.Mkdirat(root, name, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unlinkat(root, name, unix.AT_REMOVEDIR); err != nil {
			t.Error(err)
		}
	})
	fd, err := unix.Openat(root, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// onOption is a program for a cgroup: do, in which R1 is its context, if that
// option is set, and what the program has of the value, in R2, is 4 octets.
func onOption(t *testing.T, cgroup int, level, name int32, do ...asm.Instruction) {
	t.Helper()
	const optval, optvalEnd, levelAt, nameAt = 8, 16, 24, 28 // struct bpf_sockopt
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.CGroupSockopt, AttachType: ebpf.AttachCGroupSetsockopt, License: "GPL", Instructions: append(append(asm.Instructions{
		asm.Mov.Imm(asm.R0, 1),
		asm.LoadMem(asm.R2, asm.R1, levelAt, asm.Word), asm.JNE.Imm(asm.R2, level, "out"),
		asm.LoadMem(asm.R2, asm.R1, nameAt, asm.Word), asm.JNE.Imm(asm.R2, name, "out"),
		asm.LoadMem(asm.R2, asm.R1, optval, asm.DWord), asm.LoadMem(asm.R3, asm.R1, optvalEnd, asm.DWord),
		asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 4), asm.JGT.Reg(asm.R4, asm.R3, "out"),
	}, do...), asm.Return().WithSymbol("out"))})
	if err != nil {
		t.Fatal(err)
	}
	if err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: cgroup, Program: p, Attach: ebpf.AttachCGroupSetsockopt, Flags: unix.BPF_F_ALLOW_MULTI}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() }) // it goes with the cgroup
}

// What the programs of other cgroups make of options is theirs, also of the
// namespace of a guarded port.
func TestGuardLeavesOthers(t *testing.T) {
	w := newWire(t)
	cgroup := newCgroup(t)
	const optlen = 32
	onOption(t, cgroup, unix.SOL_IP, unix.IP_TOS, asm.StoreImm(asm.R2, 0, 0x40, asm.Word))
	onOption(t, cgroup, unix.SOL_SOCKET, unix.SO_PRIORITY, asm.Mov.Imm(asm.R5, -1), asm.StoreMem(asm.R1, optlen, asm.R5, asm.Word)) // the kernel does nothing
	as := &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: cgroup}
	w.guard(t)
	const want = "tos 0x40, priority 0"
	if got := w.guardChild(t, as, "options 0"); got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// In a cgroup namespace, as in a container that shares the host's network, a guard is
// not for those outside: it says so.
func TestGuardOfCgroupNamespace(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{})
	as := &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: newCgroup(t), Unshareflags: unix.CLONE_NEWCGROUP}
	const want = "guard partial true, guarded true, partial true, trial partial true; inside: operation not permitted"
	if got := w.guardChild(t, as, "part %d", w.index()); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
