// Package qemu boots disk images in QEMU as a machine would: UEFI firmware with
// Secure Boot, a disk, media, two network cards, a serial console, and a power
// cord to pull.
package qemu

import (
	"context"
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
	"github.com/linkseal/linkseal/tests/vm"
)

// Medium is what is put into the machine beside its disk.
type Medium struct {
	Path string
	USB  bool // a stick; else a CD
}

// Machine is one machine. Its fields are set before it is first switched on and
// not changed while it runs.
type Machine struct {
	Name    string
	Dir     string // for its logs, sockets, captures
	Disk    string // QEMU's words for it: file=PATH,format=qcow2
	Vars    string // the firmware's variables, its own copy
	Media   []Medium
	Cables  []*End // one card each, from CircuitDevice on
	MemoryM int    // MiB; 0: 1024
	// Watchdog adds one of hardware that resets the machine.
	Watchdog bool

	console *Console
	log     *os.File
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	monitor *monitor
	wire    io.Closer
	gone    chan struct{} // closed when QEMU has ended
	ssh     int           // the port of this machine that leads to the guest's 22
	boots   int
	said    head // QEMU's own words in this boot
}

// Slots of the PCI bus, which give the cards their names in the guest.
const (
	ManagementDevice = "enp0s3"
	CircuitDevice    = "enp0s16" // of Cables[0]
	UnderlayDevice   = "enp0s17" // of Cables[1]
	StrangerDevice   = "enp0s18" // of Cables[2]
)

// Console is the serial console of all boots.
func (m *Machine) Console() *Console {
	if m.console == nil {
		m.console = newConsole(nil)
	}
	return m.console
}

// On gives the machine power.
func (m *Machine) On() error {
	m.Console().restart()
	if m.log == nil {
		log, err := os.Create(filepath.Join(m.Dir, m.Name+".console"))
		if err != nil {
			return err
		}
		m.log, m.console.log = log, log
	}
	m.boots++
	m.said.Reset()
	var err error
	if m.ssh, err = freePort(); err != nil {
		return err
	}
	console, consoleEnd, err := socketPair("console")
	if err != nil {
		return err
	}
	control, controlEnd, err := socketPair("monitor")
	if err != nil {
		return err
	}
	defer consoleEnd.Close()
	defer controlEnd.Close()
	ctx, cancel := context.WithCancel(context.Background())
	m.cmd = exec.CommandContext(ctx, "qemu-system-x86_64", m.arguments()...)
	m.cmd.ExtraFiles = []*os.File{consoleEnd, controlEnd} // descriptors 3 and 4
	m.cmd.Stdout, m.cmd.Stderr = &m.said, &m.said
	// The machine dies with us, however we die.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := m.cmd.Start(); err != nil {
		cancel()
		return fmt.Errorf("start %s: %w; run: apt-get install qemu-system-x86", m.Name, err)
	}
	m.cancel, m.wire, m.gone = cancel, console, make(chan struct{})
	m.monitor = newMonitor(control)
	go func(gone chan struct{}) {
		io.Copy(m.console, console)
		m.cmd.Wait()
		m.console.end()
		control.Close()
		close(gone)
	}(m.gone)
	if err := m.monitor.execute("qmp_capabilities", nil, nil); err != nil {
		m.Cut()
		return fmt.Errorf("start %s: %w; qemu: %s", m.Name, err, m.said.String())
	}
	return nil
}

// Running tells whether it has power.
func (m *Machine) Running() bool {
	if m.gone == nil {
		return false
	}
	select {
	case <-m.gone:
		return false
	default:
		return true
	}
}

// Cut pulls the plug: what the guest has not written by now is lost.
func (m *Machine) Cut() {
	if m.gone == nil {
		return
	}
	m.cancel() // SIGKILL
	<-m.gone
	m.wire.Close()
}

// Reset is the reset button.
func (m *Machine) Reset() error { return m.monitor.execute("system_reset", nil, nil) }

// Resets is how often the machine was reset since it was switched on, whoever
// did it.
func (m *Machine) Resets() int { return m.monitor.count("RESET") }

// AwaitReset returns when it was reset n times since it was switched on.
func (m *Machine) AwaitReset(ctx context.Context, n int) error {
	return m.monitor.wait(ctx, "RESET", n)
}

// Off presses the power button and waits until the guest has switched off.
func (m *Machine) Off(ctx context.Context) error {
	if err := m.monitor.execute("system_powerdown", nil, nil); err != nil {
		return err
	}
	select {
	case <-m.gone:
		m.wire.Close()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s did not switch off: %w", m.Name, context.Cause(ctx))
	}
}

// Insert puts a stick in while the machine runs.
func (m *Machine) Insert(stick string) error {
	if err := m.monitor.execute("blockdev-add", map[string]any{
		"node-name": "stick", "driver": "raw", "read-only": true,
		"file": map[string]any{"driver": "file", "filename": stick},
	}, nil); err != nil {
		return err
	}
	return m.monitor.execute("device_add", map[string]any{
		"driver": "usb-storage", "id": "stick", "drive": "stick", "bus": "usb.0",
	}, nil)
}

// Capture is the file with all frames on a cable's card, of the last time that the
// machine was switched on.
func (m *Machine) Capture(cable int) string {
	return filepath.Join(m.Dir, fmt.Sprintf("%s-%d-cable%d.pcap", m.Name, m.boots, cable))
}

func (m *Machine) arguments() []string {
	memory := m.MemoryM
	if memory == 0 {
		memory = 1024
	}
	args := append([]string{"-M", "q35,smm=on,vmport=off"}, vm.Processor()...)
	args = append(args,
		"-m", strconv.Itoa(memory)+"M", "-smp", "1",
		"-nodefaults", "-display", "none", "-no-user-config", "-device", "bochs-display",
		// Only the firmware, in system management mode, may write its variables.
		"-global", "driver=cfi.pflash01,property=secure,value=on",
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+FirmwareCode,
		"-drive", "if=pflash,unit=1,format=raw,file="+m.Vars,
		"-chardev", "socket,id=console,fd=3", "-serial", "chardev:console",
		"-chardev", "socket,id=monitor,fd=4", "-mon", "chardev=monitor,mode=control",
		"-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng,addr=0x5",
		"-device", "qemu-xhci,id=usb,addr=0x6",
		"-drive", "if=none,id=disk,"+m.Disk,
		"-device", "virtio-blk-pci,drive=disk,addr=0x2,bootindex=0",
		// The guest is not to reach beyond: all there is is the way in for ssh.
		"-netdev", fmt.Sprintf("user,id=management,restrict=on,hostfwd=tcp:127.0.0.1:%d-:22", m.ssh),
		"-device", "virtio-net-pci,netdev=management,addr=0x3,romfile=,mac="+m.mac(1),
	)
	for i, medium := range m.Media {
		id := "medium" + strconv.Itoa(i)
		args = append(args, "-drive", "if=none,readonly=on,format=raw,id="+id+",file="+medium.Path)
		if medium.USB {
			args = append(args, "-device", "usb-storage,bus=usb.0,drive="+id)
		} else {
			args = append(args, "-device", fmt.Sprintf("ide-cd,bus=ide.%d,drive=%s", i, id))
		}
	}
	for i, end := range m.Cables {
		id := "cable" + strconv.Itoa(i)
		args = append(args,
			"-netdev", end.netdev(id),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=%s,addr=%#x,romfile=,mac=%s", id, 16+i, m.mac(16+i)),
			"-object", "filter-dump,maxlen=2048,id=capture"+strconv.Itoa(i)+",netdev="+id+",file="+m.Capture(i))
	}
	if m.Watchdog {
		args = append(args, "-device", "i6300esb,addr=0x7", "-action", "watchdog=reset")
	}
	return args
}

// mac is one of the addresses that are ours to give, the same at each boot.
func (m *Machine) mac(card int) string {
	var sum byte
	for _, c := range []byte(m.Name) {
		sum = sum*31 + c
	}
	return fmt.Sprintf("52:54:00:00:%02x:%02x", sum, card)
}

func socketPair(name string) (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	// Non-blocking, so that Close ends a Read.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}

// head keeps the first of what QEMU says: why it did not start.
type head struct{ strings.Builder }

func (h *head) Write(p []byte) (int, error) {
	if h.Len() < 4<<10 {
		h.Builder.Write(p)
	}
	return len(p), nil
}

// Processor is the time of this host's processors that the machine has taken since
// it was switched on: how far it has come, however busy the host is.
func (m *Machine) Processor() time.Duration {
	used, _ := cputime.Of(m.cmd.Process.Pid)
	return used
}
