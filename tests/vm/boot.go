package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/tests/cputime"
	"github.com/linkseal/linkseal/tests/vm/wire"
)

// GuestEnv is set to "1" for all that runs in the guest; linux/probe/probetest
// fails instead of skipping there.
const GuestEnv = "LINKSEAL_GUEST"

// rootModules are what it takes to reach the host's root and to report.
var rootModules = []string{"virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"}

// Guest is one boot.
type Guest struct {
	Kernel  *Kernel
	CPUs    int
	MemoryM int      // MiB
	Append  string   // more of the kernel command line
	Preload []string // modules; all others load when the kernel asks for them
	// Steady gives the emulated guest a clock that counts its instructions, a
	// nanosecond each, and stands still while this machine is busy with
	// something else: to the guest its processors are always equally fast.
	// It takes one of this machine's processors, whatever CPUs is.
	Steady  bool
	Jobs    []wire.Job
	Console io.Writer // the kernel's console; nil drops it, but for a failure's tail

	// Stdout and Stderr receive the output of job n; Done its status.
	Stdout, Stderr func(n int, p []byte)
	Done           func(wire.Status)
	Ready          func(boot time.Duration)

	process int // QEMU's
}

// Processor is the time of this machine's processors that the guest has taken
// so far; 0 if it does not run.
func (g *Guest) Processor() time.Duration {
	used, _ := cputime.Of(g.process)
	return used
}

// Run boots, runs the jobs one after the other and ends the guest. It fails if
// the guest did not report a status for every job.
func (g *Guest) Run(ctx context.Context) error {
	initrd, err := g.initrd()
	if err != nil {
		return err
	}
	defer os.Remove(initrd)
	host, guestEnd, err := socketPair()
	if err != nil {
		return err
	}
	defer host.Close()
	monitor, qemuEnd, err := socketPair()
	if err != nil {
		guestEnd.Close()
		return err
	}
	defer monitor.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var tail tailBuffer
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", g.arguments(initrd)...)
	cmd.ExtraFiles = []*os.File{guestEnd, qemuEnd} // descriptors 3 and 4
	cmd.Stdout, cmd.Stderr = &tail, &tail
	if g.Console != nil {
		cmd.Stdout = io.MultiWriter(&tail, g.Console)
		cmd.Stderr = cmd.Stdout
	}
	// The guest dies with us, however we die, and ^C is ours to handle.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		guestEnd.Close()
		qemuEnd.Close()
		return fmt.Errorf("start the guest: %w; run: apt-get install qemu-system-x86", err)
	}
	g.process = cmd.Process.Pid
	guestEnd.Close()
	qemuEnd.Close()
	go pulse(ctx, monitor)
	// A reader that waits for the guest must learn of its end.
	stop := context.AfterFunc(ctx, func() { host.Close() })
	defer stop()
	err = g.follow(host, began)
	cancel()
	waited := cmd.Wait()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return fmt.Errorf("guest: %w (qemu: %v); the end of its console:\n%s", err, waited, tail.String())
}

// follow reads frames until the last job has ended.
func (g *Guest) follow(r io.Reader, began time.Time) error {
	for job := 0; job < len(g.Jobs); {
		kind, payload, err := wire.ReadFrame(r)
		if err != nil {
			return fmt.Errorf("it ended before job %d did: %w", job, err)
		}
		switch kind {
		case wire.Ready:
			if g.Ready != nil {
				g.Ready(time.Since(began))
			}
		case wire.Stdout:
			g.Stdout(job, payload)
		case wire.Stderr:
			g.Stderr(job, payload)
		case wire.Exit:
			var st wire.Status
			if err := json.Unmarshal(payload, &st); err != nil {
				return fmt.Errorf("status of job %d: %w", job, err)
			}
			if st.Job != job {
				return fmt.Errorf("status of job %d, want of %d", st.Job, job)
			}
			g.Done(st)
			job++
		case wire.Fatal:
			return errors.New(string(payload))
		default:
			return fmt.Errorf("frame of unknown kind %q", kind)
		}
	}
	return nil
}

func (g *Guest) arguments(initrd string) []string {
	processor := Processor()
	if g.Steady && !canKVM() {
		processor = []string{"-cpu", emulated, "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on"}
	}
	args := append([]string{"-M", "q35,usb=off,smbus=off,vmport=off"}, processor...)
	return append(args,
		"-smp", strconv.Itoa(g.CPUs), "-m", strconv.Itoa(g.MemoryM)+"M",
		"-nodefaults", "-nographic", "-no-reboot", "-no-user-config",
		"-serial", "stdio", "-chardev", "socket,id=monitor,fd=4", "-mon", "chardev=monitor,mode=control",
		"-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
		"-device", "virtio-9p-pci,fsdev=root,mount_tag=host",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=frames,fd=3",
		"-device", "virtserialport,chardev=frames,name="+wire.PortName,
		"-object", "rng-random,id=rng,filename=/dev/urandom",
		"-device", "virtio-rng-pci,rng=rng",
		"-kernel", g.Kernel.Image, "-initrd", initrd,
		"-append", strings.TrimSpace(commandLine+" "+g.Append))
}

// emulated is the processor that QEMU emulates. CMPXCHG16B has been seen to leave
// the low half of RAX in EFLAGS (QEMU 7.2), which is a double fault some time
// later; without the feature Linux does the same with interrupts off. The others
// cost time: REP MOVSB and STOSB are emulated octet by octet, and STAC and CLAC
// around each copy to and from user space end what is translated as one.
const emulated = "max,-cx16,-erms,-fsrm,-smap,-smep,-umip,-la57,-pku"

// commandLine quiets the console and leaves out what an emulated machine has
// no use for: clearing of pages, and of 2 MiB at once for each small heap, the
// crypto self-tests, clock watchdogs, security modules (SELinux is on where
// AppArmor is off), accounting of memory, checks of what is copied, string
// instructions that repeat. The guest brings up the other processors when it
// has its root.
const commandLine = "console=ttyS0 quiet panic=-1 maxcpus=1 mitigations=off nokaslr init_on_alloc=0 " +
	"random.trust_cpu=on cryptomgr.notests=1 tsc=reliable nowatchdog audit=0 lsm= cgroup_disable=memory " +
	"hardened_usercopy=off transparent_hugepage=madvise clearcpuid=rep_good rdinit=/init"

// initrd writes the initramfs: this program as init, the modules to reach the
// root, the plan.
func (g *Guest) initrd() (string, error) {
	deps, err := readModuleDeps(g.Kernel.ModuleDir)
	if err != nil {
		return "", err
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return "", err
	}
	a := newArchive()
	// The kernel opens it for process 1 before /dev is mounted.
	a.char("dev/console", 5, 1)
	a.file("init", self)
	plan := wire.Plan{ModuleDir: g.Kernel.ModuleDir, Preload: g.Preload, Jobs: g.Jobs}
	for _, m := range deps.order(rootModules...) {
		data, err := os.ReadFile(filepath.Join(deps.dir, m))
		if err != nil {
			return "", err
		}
		name := "modules/" + filepath.Base(m)
		a.file(name, data)
		plan.Modules = append(plan.Modules, "/"+name)
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return "", err
	}
	a.file(strings.TrimPrefix(wire.JobsPath, "/"), text)
	f, err := os.CreateTemp("", "linkseal-initrd-")
	if err != nil {
		return "", err
	}
	if _, err = f.Write(a.bytes()); err == nil {
		err = f.Close()
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

func socketPair() (host, guest *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	// Non-blocking, so that Close ends a Read.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "frames"), os.NewFile(uintptr(fds[1]), "frames"), nil
}

// tailBuffer keeps the last of what is written to it.
type tailBuffer struct{ b bytes.Buffer }

const tailSize = 8 << 10

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.b.Write(p)
	if over := t.b.Len() - tailSize; over > 0 {
		t.b.Next(over)
	}
	return len(p), nil
}

// String leaves out what the firmware says, escape sequences and all.
func (t *tailBuffer) String() string {
	text := t.b.String()
	if _, after, ok := strings.Cut(text, "Booting from ROM.."); ok {
		text = after
	}
	return strings.TrimSpace(text)
}
