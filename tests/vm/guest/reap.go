package guest

import (
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reaper waits for orphans, as process 1 must, and leaves the job's own
// process to os/exec.
type reaper struct {
	mu  sync.Mutex
	job int // process id of the running job
}

// start starts cmd without a moment in which it could be taken for an orphan.
func (r *reaper) start(cmd *exec.Cmd) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.job = 0
	if err := cmd.Start(); err != nil {
		return err
	}
	r.job = cmd.Process.Pid
	return nil
}

func (r *reaper) run() {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, unix.SIGCHLD)
	for range ch {
		r.reap()
	}
}

func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		// Only look, since the first may be the job. Orphans behind it wait
		// for the next signal.
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		pid := int(childPID(&info))
		if err != nil || pid == 0 || pid == r.job {
			return
		}
		if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
			return
		}
	}
}

// childPID is si_pid: the first word of the union behind three ints and, on
// 64-bit machines, their padding.
func childPID(info *unix.Siginfo) int32 {
	return *(*int32)(unsafe.Add(unsafe.Pointer(info), 16))
}
