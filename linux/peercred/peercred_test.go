package peercred

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

const dialEnv = "PEERCRED_TEST_DIAL"

// TestMain is also the other process of the tests: it connects to the socket
// that the environment names and stays until that is closed.
func TestMain(m *testing.M) {
	path := os.Getenv(dialEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(0)
}

func listen(t *testing.T) *net.UnixListener {
	t.Helper()
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, path := range []string{filepath.Dir(dir), dir, l.Addr().String()} { // for any user
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func accept(t *testing.T, l *net.UnixListener) *net.UnixConn {
	t.Helper()
	if err := l.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOfBothEnds(t *testing.T) {
	l := listen(t)
	client, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server := accept(t, l)
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*net.UnixConn{"who connected": server, "who listens": client} {
		got, err := Of(c)
		if err != nil {
			t.Fatal(err)
		}
		if int(got.UID) != os.Geteuid() || int(got.GID) != os.Getegid() || int(got.PID) != os.Getpid() || len(got.Groups) != len(groups) || !got.InGroup(uint32(os.Getegid())) {
			t.Errorf("%s: %+v", name, got)
		}
		for _, g := range groups {
			if !got.InGroup(uint32(g)) {
				t.Errorf("%s: not in group %d: %+v", name, g, got)
			}
		}
	}
	server.Close()
	if got, err := Of(server); err == nil {
		t.Errorf("of a closed connection: %+v", got)
	}
}

func TestOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: connects as other users")
	}
	many := make([]uint32, 3000) // more than fit at first
	for i := range many {
		many[i] = uint32(70000 + i)
	}
	for name, as := range map[string]syscall.Credential{
		"no groups":   {Uid: 1001, Gid: 1002},
		"some groups": {Uid: 1001, Gid: 1002, Groups: []uint32{7, 990, 4000000000}},
		"many groups": {Uid: 4000000000, Gid: 0, Groups: many},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t)
			c := exec.Command("/proc/self/exe")
			c.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", dialEnv+"="+l.Addr().String())
			c.Stderr = os.Stderr
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &as}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			conn := accept(t, l)
			got, err := Of(conn)
			conn.Close()
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.UID != as.Uid || got.GID != as.Gid || int(got.PID) != c.Process.Pid || !slices.Equal(slices.Sorted(slices.Values(got.Groups)), as.Groups) {
				t.Errorf("uid %d, gid %d, pid %d, %d groups", got.UID, got.GID, got.PID, len(got.Groups))
			}
			if last := len(as.Groups) - 1; last >= 0 && !got.InGroup(as.Groups[last]) || !got.InGroup(as.Gid) || got.InGroup(69999) {
				t.Errorf("InGroup is wrong")
			}
		})
	}
}
