// Package guest is process 1 of the guest of tests/vm: it puts the host's root
// under a RAM overlay, runs the jobs and reports. It runs in the initramfs and
// stays; nothing else is installed in the guest.
package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/tests/vm/wire"
)

// Main does the boot's work. It never returns: the host ends the guest when it
// has the last Exit frame, or on a Fatal one.
func Main() {
	w, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmrun: guest:", err)
		if w != nil {
			w.Frame(wire.Fatal, []byte(err.Error()))
		}
	}
	// Should the host not end us: without power there is nothing to leave.
	time.Sleep(5 * time.Second)
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

func run() (*wire.Writer, error) {
	text, err := os.ReadFile(wire.JobsPath)
	if err != nil {
		return nil, err
	}
	var plan wire.Plan
	if err := json.Unmarshal(text, &plan); err != nil {
		return nil, fmt.Errorf("%s: %w", wire.JobsPath, err)
	}
	if err := early(); err != nil {
		return nil, err
	}
	for _, m := range plan.Modules {
		if err := loadModule(m); err != nil {
			return nil, err
		}
	}
	port, err := openPort(wire.PortName)
	if err != nil {
		return nil, err
	}
	w := wire.NewWriter(port)
	if err := enterRoot(plan.ModuleDir); err != nil {
		return w, err
	}
	if err := loopbackUp(); err != nil {
		return w, err
	}
	if err := wakeProcessors(); err != nil {
		return w, err
	}
	if len(plan.Preload) > 0 {
		if out, err := exec.Command("/sbin/modprobe", append([]string{"-a"}, plan.Preload...)...).CombinedOutput(); err != nil {
			return w, fmt.Errorf("modprobe %v: %w: %s", plan.Preload, err, out)
		}
	}
	if err := w.Frame(wire.Ready, nil); err != nil {
		return w, err
	}
	var r reaper
	go r.run()
	for i, j := range plan.Jobs {
		if err := w.JSON(wire.Exit, r.do(w, i, j)); err != nil {
			return w, err
		}
	}
	return w, nil
}

// do runs one job. What it leaves running is not waited for.
func (r *reaper) do(w *wire.Writer, n int, j wire.Job) wire.Status {
	cmd := exec.Command(j.Args[0], j.Args[1:]...)
	cmd.Dir, cmd.Env = j.Dir, j.Env
	cmd.Stdout, cmd.Stderr = w.Stream(wire.Stdout), w.Stream(wire.Stderr)
	cmd.WaitDelay = time.Second
	if err := r.start(cmd); err != nil {
		return wire.Status{Job: n, Code: 127, Error: err.Error()}
	}
	err := cmd.Wait()
	if cmd.ProcessState == nil {
		return wire.Status{Job: n, Code: 1, Error: err.Error()}
	}
	st := wire.Status{Job: n, Code: cmd.ProcessState.ExitCode()}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		st.Code = 128 + int(ws.Signal())
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		st.Code, st.Error = max(st.Code, 1), err.Error()
	}
	return st
}
