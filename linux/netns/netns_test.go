package netns

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func names(t *testing.T) []string {
	t.Helper()
	ifs, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range ifs {
		out = append(out, i.Name)
	}
	return out
}

func thread(t *testing.T) string {
	t.Helper()
	l, err := os.Readlink(threadPath)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAnonymous(t *testing.T) {
	probetest.Need(t, probe.NetNS)
	before := thread(t)
	n, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if got := thread(t); got != before {
		t.Fatalf("New left the thread in %s, was %s", got, before)
	}
	var inside string
	if err := n.Do(func() error {
		inside = thread(t)
		if got := names(t); len(got) != 1 || got[0] != "lo" {
			t.Errorf("devices in a new namespace: %v", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if inside == before {
		t.Error("Do ran in the caller's namespace")
	}
	link, err := os.Readlink(n.Path())
	if err != nil || link != inside {
		t.Errorf("Path leads to %q, %v; want %q", link, err, inside)
	}
}

func TestNamed(t *testing.T) {
	probetest.Need(t, probe.NetNS)
	name := "linkseal-test-" + strconv.Itoa(os.Getpid())
	n, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if _, err := New(name); !errors.Is(err, os.ErrExist) || !strings.Contains(err.Error(), "ip netns delete") {
		t.Errorf("second New: %v", err)
	}
	again, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Equal(n) {
		t.Error("Open found another namespace")
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(n.Path()); err != nil {
		t.Fatalf("Close of an opened namespace removed its name: %v", err)
	}
	if ip, err := exec.LookPath("ip"); err == nil {
		out, err := exec.Command(ip, "netns", "list").CombinedOutput()
		if err != nil || !strings.Contains(string(out), name) {
			t.Errorf("ip netns list: %v\n%s", err, out)
		}
		if out, err := exec.Command(ip, "netns", "exec", name, ip, "link").CombinedOutput(); err != nil {
			t.Errorf("ip netns exec: %v\n%s", err, out)
		}
	}
	for range 2 {
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(Dir, name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}
	if err := n.Do(func() error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("Do after Close: %v", err)
	}
	if n.Fd() != -1 {
		t.Errorf("Fd after Close: %d", n.Fd())
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{".", "..", "a/b", "/etc", "x\x00y"} {
		if n, err := New(name); err == nil {
			n.Close()
			t.Errorf("New(%q): no error", name)
		}
		if n, err := Open(name); err == nil {
			n.Close()
			t.Errorf("Open(%q): no error", name)
		}
	}
}

func TestDoRestores(t *testing.T) {
	probetest.Need(t, probe.NetNS)
	a, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	before := thread(t)
	want := errors.New("from f")
	if err := a.Do(func() error {
		inA := thread(t)
		b.Do(func() error {
			if thread(t) == inA {
				t.Error("nested Do stayed in the outer namespace")
			}
			return nil
		})
		if thread(t) != inA {
			t.Error("nested Do did not come back")
		}
		return want
	}); err != want {
		t.Errorf("error of f: %v", err)
	}
	func() {
		defer func() { recover() }()
		a.Do(func() error { panic("f") })
	}()
	if got := thread(t); got != before {
		t.Errorf("after a panic in %s, was in %s", got, before)
	}
}

// TestThreads looks for a thread that stays in a namespace: goroutines that
// never enter one must always see the process's own.
func TestThreads(t *testing.T) {
	probetest.Need(t, probe.NetNS)
	n, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	own := thread(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				inner := make(chan string)
				n.Do(func() error {
					go func() { inner <- thread(t) }()
					if got := <-inner; got != own {
						t.Errorf("a goroutine started in Do runs in %s", got)
					}
					return nil
				})
				if got := thread(t); got != own {
					t.Errorf("outside Do in %s, want %s", got, own)
				}
			}
		})
	}
	wg.Wait()
}

func TestCommand(t *testing.T) {
	probetest.Need(t, probe.NetNS)
	n, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var inside string
	n.Do(func() error { inside = thread(t); return nil })
	out, err := n.Command("readlink", "/proc/self/ns/net").Output()
	if err != nil || strings.TrimSpace(string(out)) != inside {
		t.Errorf("child in %q, %v; want %q", out, err, inside)
	}
	mnt, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	out, err = n.CommandContext(t.Context(), "readlink", "/proc/self/ns/mnt").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != mnt {
		t.Errorf("child's mount namespace %q, %v; want the caller's %q", out, err, mnt)
	}
	if err := n.Command("false").Run(); err == nil {
		t.Error("false succeeded")
	}
	if err := n.Command("/nonexistent").Run(); err == nil {
		t.Error("no such command, but no error")
	}
}

func TestCurrent(t *testing.T) {
	probetest.Need(t, probe.NetNS)
	n, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var cur *NS
	if err := n.Do(func() (err error) { cur, err = Current(); return err }); err != nil {
		t.Fatal(err)
	}
	defer cur.Close()
	if !cur.Equal(n) {
		t.Error("Current inside Do is another namespace")
	}
	// The socket opened inside answers for the namespace, from any thread.
	var fd int
	if err := cur.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		t.Fatal(err)
	}
	own, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(own)
	if c, err := unix.GetsockoptUint64(own, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err != nil || c == cookie {
		t.Errorf("cookies %d and %d, %v", c, cookie, err)
	}
}
