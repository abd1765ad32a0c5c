package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// askAs has this binary be a client: of the broker at that path.
const askAs = "LINKSEAL_BROKER_TEST_ASK"

func TestMain(m *testing.M) {
	if path := os.Getenv(askAs); path != "" {
		_, text, err := ask(path, Request{What: Trial})
		fmt.Printf("%s %v\n", text, err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start serves lends until the test ends.
func start(t *testing.T, lends map[What]Lend) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "broker")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, lends, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

func TestLends(t *testing.T) {
	reads := make(chan int, 1)
	path := start(t, map[What]Lend{
		PacketSocket: func(a, b uint32) (int, string, error) {
			if a != 7 || b != 1<<31 {
				return -1, "", fmt.Errorf("asked with %d and %d", a, b)
			}
			var p [2]int
			err := unix.Pipe2(p[:], unix.O_CLOEXEC)
			reads <- p[0]
			return p[1], "a pipe", err
		},
	})
	fd, text, err := ask(path, Request{What: PacketSocket, A: 7, B: 1 << 31})
	if err != nil || text != "a pipe" {
		t.Fatalf("text %q, error %v", text, err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %d, %v: a child would have it", flags, err)
	}
	if _, err := unix.Write(fd, []byte("through")); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	end := <-reads
	defer unix.Close(end)
	got := make([]byte, 16)
	n, err := unix.Read(end, got)
	if string(got[:n]) != "through" || err != nil {
		t.Errorf("read %q, %v", got[:n], err)
	}
	// The broker keeps nothing of it: its end is the end.
	if n, err := unix.Read(end, got); n != 0 || err != nil {
		t.Errorf("after the borrower closed it: %d octets, %v", n, err)
	}
}

func TestRefusals(t *testing.T) {
	path := start(t, map[What]Lend{
		Map:   func(_, _ uint32) (int, string, error) { return -1, "", os.ErrNotExist },
		Trial: func(_, _ uint32) (int, string, error) { return -1, "", fmt.Errorf("no such map: %w", unix.ENOENT) },
		Cgroups: func(_, _ uint32) (int, string, error) {
			return -1, strings.Repeat("x", 3*maxText), nil
		},
	})
	if _, _, err := ask(path, Request{What: Trial}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "no such map") {
		t.Errorf("what the kernel says: %v", err)
	}
	if _, _, err := ask(path, Request{What: Map}); !errors.Is(err, unix.EIO) {
		t.Errorf("an error without number: %v", err)
	}
	if _, _, err := ask(path, Request{What: 99}); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("what it does not know: %v", err)
	}
	if _, text, err := ask(path, Request{What: Cgroups}); err != nil || len(text) != maxText {
		t.Errorf("a long text: %d octets, %v", len(text), err)
	}
}

// Requests of other lengths are not answered, and do no harm to others.
func TestGarbage(t *testing.T) {
	path := start(t, map[What]Lend{Trial: func(_, _ uint32) (int, string, error) { return -1, "fine", nil }})
	for _, b := range [][]byte{{1}, make([]byte, requestLen-1), make([]byte, requestLen+1), make([]byte, 60000)} {
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if n, _ := c.Read(make([]byte, 10)); n > 0 {
			t.Errorf("%d octets were answered", len(b))
		}
		c.Close()
	}
	if _, text, err := ask(path, Request{What: Trial}); text != "fine" || err != nil {
		t.Errorf("after that: %q, %v", text, err)
	}
}

func TestOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	path := start(t, map[What]Lend{Trial: func(_, _ uint32) (int, string, error) { return -1, "SECRET", nil }})
	for p := path; p != "/"; p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(p) == os.TempDir() {
			break
		}
	}
	c := exec.Command("/proc/self/exe")
	c.Env = []string{askAs + "=" + path}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.CombinedOutput()
	if err != nil || strings.Contains(string(out), "SECRET") || strings.HasSuffix(string(out), "<nil>\n") {
		t.Errorf("nobody was answered %q, %v", out, err)
	}
}

func TestActivated(t *testing.T) {
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "1")
	if _, err := Activated(); err == nil {
		t.Error("a socket for another process was taken")
	}
}

func FuzzReply(f *testing.F) {
	f.Add(Reply{Errno: unix.EPERM, Text: "no"}.append(nil))
	f.Add([]byte{1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseReply(b)
		if err == nil && string(r.append(nil)) != string(b) {
			t.Errorf("%x is %+v, and that %x", b, r, r.append(nil))
		}
		if q, err := parseRequest(b); err == nil && string(q.append(nil)) != string(b) {
			t.Errorf("%x is %+v", b, q)
		}
	})
}
