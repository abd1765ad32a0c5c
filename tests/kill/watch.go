package kill

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/tests/calls"
)

// Step is a system call that changes files, at which its process is held.
type Step struct {
	Call, Path string
	PID        int
}

// String is the step with the last two names of the path.
func (s Step) String() string {
	folder, name := filepath.Split(s.Path)
	return s.Call + " " + filepath.Join(filepath.Base(folder), name)
}

// Watch holds the processes that are started with its Argv at each system call
// that changes files, and asks what is to become of them.
type Watch struct {
	writes bool
	fatal  func(Step) bool
	socket string
	l      *net.UnixListener

	running sync.WaitGroup
	mu      sync.Mutex
	killed  []Step
	errs    []error
}

// NewWatch begins to listen for processes, at a socket in the folder dir. Each
// step is given to fatal before it is carried out, one at a time for each
// process; if that returns true the process is killed, and never carries it
// out. write counts as a step only with writes.
func NewWatch(dir string, writes bool, fatal func(Step) bool) (*Watch, error) {
	socket := filepath.Join(dir, "watch")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	w := &Watch{writes: writes, fatal: fatal, socket: socket, l: l}
	w.running.Go(w.accept)
	return w, nil
}

// Argv is the command line of program with args under the watch. It runs this
// test binary first, whose TestMain calls Main.
func (w *Watch) Argv(program string, args ...string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return append([]string{self, launchVerb, w.socket, strconv.FormatBool(w.writes), program}, args...), nil
}

// Killed are the steps before which a process was killed.
func (w *Watch) Killed() []Step {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.killed)
}

// Close ends the watch when all processes under it have ended. The error is of
// what could not be watched or killed.
func (w *Watch) Close() error {
	err := w.l.Close()
	w.running.Wait()
	return errors.Join(append(w.errs, err)...)
}

func (w *Watch) fault(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, err)
}

func (w *Watch) accept() {
	for {
		c, err := w.l.AcceptUnix()
		if err != nil {
			return // closed
		}
		stops, err := received(c)
		c.Close()
		if err != nil {
			w.fault(fmt.Errorf("watch: no descriptor came: %w", err))
			continue
		}
		w.running.Go(func() {
			defer unix.Close(stops)
			if err := w.follow(stops); err != nil {
				w.fault(fmt.Errorf("watch: %w", err))
			}
		})
	}
}

// received is the descriptor that a launched process sends.
func received(c *net.UnixConn) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := c.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return -1, err
	}
	all, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return -1, err
	}
	if len(all) != 1 {
		return -1, fmt.Errorf("%d control messages", len(all))
	}
	fds, err := unix.ParseUnixRights(&all[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("%d descriptors: %w", len(fds), err)
	}
	return fds[0], nil
}

// notif and response are struct seccomp_notif and seccomp_notif_resp of
// linux/seccomp.h.
type notif struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type response struct {
	id    uint64
	val   int64
	errno int32
	flags uint32
}

// follow answers the stops of one process and its children until all have
// ended.
func (w *Watch) follow(stops int) error {
	for {
		ready := []unix.PollFd{{Fd: int32(stops), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			return err
		}
		if ready[0].Revents&unix.POLLIN == 0 {
			return nil // nobody is left
		}
		var n notif
		if err := control(stops, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINTR) {
			continue // it has ended meanwhile
		} else if err != nil {
			return fmt.Errorf("receive a stop: %w", err)
		}
		s, err := step(&n)
		if err == nil && w.fatal(s) {
			w.mu.Lock()
			w.killed = append(w.killed, s)
			w.mu.Unlock()
			if err := End(s.PID); err != nil {
				return err
			}
			continue
		}
		if err != nil && uninterrupted(stops, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&n.id)) == nil {
			w.fault(err) // else it has ended meanwhile
		}
		r := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if err := uninterrupted(stops, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("answer a stop: %w", err)
		}
	}
}

// uninterrupted is control of what a signal ends while it waits for its turn.
func uninterrupted(fd int, request uintptr, arg unsafe.Pointer) error {
	return calls.Again(func() error { return control(fd, request, arg) })
}

func control(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
