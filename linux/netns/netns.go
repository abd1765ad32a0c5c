// Package netns makes Linux network namespaces and runs code and commands in
// them. A named one is a bind mount in /run/netns, where ip-netns(8) and every
// other tool finds it; an anonymous one lives as long as its descriptor.
//
// Nothing here makes a mount namespace, so that /run, /tmp and bind mounts are
// the caller's own. Consequences: /proc/sys/net follows the thread and shows
// the namespace inside Do, as does /proc/thread-self/net; /proc/net follows the
// process's first thread, and /sys/class/net the namespace that mounted /sys.
package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Dir is where named namespaces are bound.
const Dir = "/run/netns"

const threadPath = "/proc/thread-self/ns/net"

// NS is a network namespace held open. It is safe for concurrent use.
type NS struct {
	path  string // of the bind mount; empty if anonymous
	owned bool   // Close unbinds path
	id    id     // of the namespace, to tell it from others without setns

	mu   sync.RWMutex // held shared while fd is in use
	file *os.File     // nil after Close
}

type id struct{ dev, ino uint64 }

// New makes a namespace. With a name it is bound to Dir/name, which must not
// exist; with an empty name it is anonymous. Only the loopback device is in
// it, down. It needs CAP_SYS_ADMIN.
func New(name string) (*NS, error) {
	n := &NS{}
	if name != "" {
		if err := checkName(name); err != nil {
			return nil, err
		}
		n.path, n.owned = filepath.Join(Dir, name), true
		if err := prepareDir(); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(n.path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0)
		if err != nil {
			if errors.Is(err, os.ErrExist) {
				err = fmt.Errorf("%w; delete it first: ip netns delete %s", err, name)
			}
			return nil, fmt.Errorf("network namespace %q: %w", name, err)
		}
		f.Close()
	}
	if err := onThread(func() error { return n.create() }); err != nil {
		if n.path != "" {
			os.Remove(n.path)
		}
		return nil, fmt.Errorf("network namespace %q: %w", name, err)
	}
	return n, nil
}

// create unshares the calling thread's network namespace, keeps it in n and
// puts the thread back. The thread is locked.
func (n *NS) create() error {
	old, err := os.Open(threadPath)
	if err != nil {
		return err
	}
	defer old.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare: %w (it needs CAP_SYS_ADMIN)", err)
	}
	defer restore(old)
	if n.path != "" {
		if err := unix.Mount(threadPath, n.path, "none", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind to %s: %w", n.path, err)
		}
	}
	f, err := os.Open(threadPath)
	if err != nil {
		if n.path != "" {
			unix.Unmount(n.path, unix.MNT_DETACH)
		}
		return err
	}
	n.file = f
	n.id, err = identify(f)
	return err
}

// Open holds an existing named namespace, of ip-netns(8) or of New. Close
// leaves it where it is.
func Open(name string) (*NS, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return open(filepath.Join(Dir, name))
}

// Current holds the calling thread's namespace. Outside Do and without
// runtime.LockOSThread that is the process's own.
func Current() (*NS, error) {
	n, err := open(threadPath)
	if err == nil {
		n.path = "" // it would name another namespace on another thread
	}
	return n, err
}

func open(path string) (*NS, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	n := &NS{path: path, file: f}
	if n.id, err = identify(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("network namespace %s: %w", path, err)
	}
	return n, nil
}

// Path is a file that names the namespace: the bind mount, or for an
// anonymous one this process's descriptor, which tools started by this
// process can open while it runs.
func (n *NS) Path() string {
	if n.path != "" {
		return n.path
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.Fd())
}

// Fd is the namespace's descriptor, for netlink's and setns's callers: valid
// until Close, -1 after it.
func (n *NS) Fd() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.file == nil {
		return -1
	}
	return int(n.file.Fd())
}

// Inode is the namespace's number, as ls -i and lsns show it. The kernel gives
// it to another namespace when this one is gone.
func (n *NS) Inode() uint64 { return n.id.ino }

// Equal tells whether both are the same namespace.
func (n *NS) Equal(o *NS) bool { return n.id == o.id }

// Close lets the descriptor go and, if New made a named namespace, unbinds its
// name. The kernel destroys the namespace, and moves or deletes the devices in
// it, when its last process and socket are gone too. It may be called again.
func (n *NS) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file == nil {
		return nil
	}
	err := n.file.Close()
	n.file = nil
	if !n.owned {
		return err
	}
	// Somebody's `ip netns delete` is no error: the name is gone, as asked.
	if e := unix.Unmount(n.path, unix.MNT_DETACH); e != nil && e != unix.EINVAL && e != unix.ENOENT {
		err = errors.Join(err, fmt.Errorf("network namespace: unmount %s: %w", n.path, e))
	}
	if e := os.Remove(n.path); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("network namespace: %w", e))
	}
	return err
}

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("network namespace %q: not a file name", name)
	}
	return nil
}

func identify(f *os.File) (id, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	return id{st.Dev, st.Ino}, err
}

var dirMu sync.Mutex

// prepareDir makes Dir a shared mount point as ip-netns(8) does: a name
// unbound here is then unbound in every mount namespace.
func prepareDir() error {
	dirMu.Lock()
	defer dirMu.Unlock()
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return fmt.Errorf("network namespaces: %w", err)
	}
	share := func() error { return unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, "") }
	err := share()
	if err == unix.EINVAL { // not a mount point yet
		if err = unix.Mount(Dir, Dir, "none", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = share()
		}
	}
	if err != nil {
		return fmt.Errorf("network namespaces: share %s: %w (it needs CAP_SYS_ADMIN)", Dir, err)
	}
	return nil
}

// onThread runs f on a thread that no other goroutine shares meanwhile.
func onThread(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return f()
}
