// Package qemu boots disk images in QEMU as a machine would: UEFI firmware with
// Secure Boot, a disk, media, two network cards, a serial console, and a power
// cord to pull.
package qemu

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

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
	// NoSerial is a machine without a serial port: its console says nothing.
	NoSerial bool

	console *Console
	log     *os.File
	ssh     int  // the port of this machine that leads to the guest's 22
	boots   int  // how many QEMUs there have been
	said    head // QEMU's own words since it was switched on

	mu      sync.Mutex
	now     *process      // nil: it was never switched on
	cut     bool          // no reset is followed by a boot any more
	gone    chan struct{} // closed when it has no power any more
	resets  int           // since it was switched on
	changed chan struct{} // closed and replaced with each reset
	used    time.Duration // of the processor, by QEMUs before this one
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
	m.said.Reset()
	var err error
	if m.ssh, err = freePort(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.start()
	if err != nil {
		return err
	}
	m.now, m.cut, m.resets, m.used = p, false, 0, 0
	m.gone, m.changed = make(chan struct{}), make(chan struct{})
	go m.follow(p, m.gone)
	return nil
}

// follow has another QEMU where one ended by a reset. One and the same would do, but
// that of Debian 12 has been seen to hang in the firmware after a reset: of the code of
// the boot before it keeps a list that bites its own tail.
func (m *Machine) follow(p *process, gone chan struct{}) {
	defer close(gone)
	defer m.console.end()
	for {
		<-p.ended
		m.mu.Lock()
		if m.cut || !p.monitor.reset() {
			m.mu.Unlock()
			return
		}
		next, err := m.start()
		if err != nil {
			fmt.Fprintf(m.console, "\n%v\n", err)
			m.mu.Unlock()
			return
		}
		m.used += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
		p, m.now = next, next
		m.resets++
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
	}
}

// Running tells whether it has power.
func (m *Machine) Running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now == nil {
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
	m.mu.Lock()
	p := m.now
	m.cut = true
	m.mu.Unlock()
	if p != nil {
		p.cancel() // SIGKILL
		<-m.gone
	}
}

// Resets is how often the machine was reset since it was switched on, whoever
// did it.
func (m *Machine) Resets() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.resets
}

// AwaitReset returns when it was reset n times since it was switched on.
func (m *Machine) AwaitReset(ctx context.Context, n int) error {
	for {
		m.mu.Lock()
		resets, changed := m.resets, m.changed
		m.mu.Unlock()
		if resets >= n {
			return nil
		}
		select {
		case <-changed:
		case <-m.gone:
			return fmt.Errorf("%s has no power any more, after %d resets of %d", m.Name, m.Resets(), n)
		case <-ctx.Done():
			return fmt.Errorf("%s was reset %d times of %d: %w", m.Name, m.Resets(), n, context.Cause(ctx))
		}
	}
}

func (m *Machine) monitor() *monitor {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now.monitor
}

// Off presses the power button and waits until the guest has switched off.
func (m *Machine) Off(ctx context.Context) error {
	if err := m.monitor().execute("system_powerdown", nil, nil); err != nil {
		return err
	}
	select {
	case <-m.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s did not switch off: %w", m.Name, context.Cause(ctx))
	}
}

// Insert puts a stick in while the machine runs, until it is reset.
func (m *Machine) Insert(stick string) error {
	q := m.monitor()
	if err := q.execute("blockdev-add", map[string]any{
		"node-name": "stick", "driver": "raw", "read-only": true,
		"file": map[string]any{"driver": "file", "filename": stick},
	}, nil); err != nil {
		return err
	}
	return q.execute("device_add", map[string]any{
		"driver": "usb-storage", "id": "stick", "drive": "stick", "bus": "usb.0",
	}, nil)
}

// Capture is the file with all frames on a cable's card since the machine was switched
// on or reset.
func (m *Machine) Capture(cable int) string {
	return filepath.Join(m.Dir, fmt.Sprintf("%s-%d-cable%d.pcap", m.Name, m.boots, cable))
}

func (m *Machine) arguments() []string {
	memory := m.MemoryM
	if memory == 0 {
		memory = 1024
	}
	serial := "chardev:console"
	if m.NoSerial {
		serial = "none"
	}
	// follow has another QEMU boot after a reset.
	args := append([]string{"-M", "q35,smm=on,vmport=off", "-action", "reboot=shutdown,watchdog=reset"}, vm.Processor()...)
	args = append(args,
		"-m", strconv.Itoa(memory)+"M", "-smp", "1",
		"-nodefaults", "-display", "none", "-no-user-config", "-device", "bochs-display",
		// Only the firmware, in system management mode, may write its variables.
		"-global", "driver=cfi.pflash01,property=secure,value=on",
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+FirmwareCode,
		"-drive", "if=pflash,unit=1,format=raw,file="+m.Vars,
		"-chardev", "socket,id=console,fd=3", "-serial", serial,
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
		args = append(args, "-device", "i6300esb,addr=0x7")
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

// Processor is the time of this host's processors that the machine has taken since
// it was switched on: how far it has come, however busy the host is.
func (m *Machine) Processor() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	used, _ := cputime.Of(m.now.cmd.Process.Pid)
	return m.used + used
}
