package qemu

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is one QEMU.
type process struct {
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	monitor *monitor
	ended   chan struct{} // closed when it has, and all that it said was read
}

// start starts a QEMU that is the machine.
func (m *Machine) start() (*process, error) {
	m.boots++
	console, consoleEnd, err := socketPair("console")
	if err != nil {
		return nil, err
	}
	control, controlEnd, err := socketPair("monitor")
	if err != nil {
		console.Close()
		consoleEnd.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{cmd: exec.CommandContext(ctx, "qemu-system-x86_64", m.arguments()...), cancel: cancel, ended: make(chan struct{})}
	p.cmd.ExtraFiles = []*os.File{consoleEnd, controlEnd} // descriptors 3 and 4
	p.cmd.Stdout, p.cmd.Stderr = &m.said, &m.said
	// The machine dies with us, however we die.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	err = p.cmd.Start()
	consoleEnd.Close()
	controlEnd.Close()
	if err != nil {
		cancel()
		console.Close()
		control.Close()
		return nil, fmt.Errorf("start %s: %w; run: apt-get install qemu-system-x86", m.Name, err)
	}
	p.monitor = newMonitor(control)
	go func() {
		io.Copy(m.console, console)
		p.cmd.Wait()
		<-p.monitor.ended
		console.Close()
		control.Close()
		cancel()
		close(p.ended)
	}()
	if err := p.monitor.execute("qmp_capabilities", nil, nil); err != nil {
		cancel()
		<-p.ended
		return nil, fmt.Errorf("start %s: %w; qemu: %s", m.Name, err, m.said.String())
	}
	return p, nil
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
