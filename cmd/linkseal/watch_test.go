package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/status"
)

// serveStatus is a daemon that has a status and nothing else. Its counter
// grows with each answer.
func serveStatus(t *testing.T, path string) (stop func()) {
	t.Helper()
	l, err := status.Listen(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var n uint64
	done := make(chan error, 1)
	go func() {
		done <- status.Serve(ctx, l, status.Daemon{Log: slog.New(slog.DiscardHandler), Snapshot: func() status.Status {
			mu.Lock()
			defer mu.Unlock()
			n += 1000
			s := status.Status{Name: "watched", Version: "test", Ports: []status.Port{{Name: "link1", State: status.Secured, Cipher: "gcm-aes-256",
				Counters: map[string]uint64{"in_pkts_ok": n}}}}
			s.Fill()
			return s
		}})
	}()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// socketPath is one that is short enough.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "watch")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "ctl")
}

// terminal is a program's, of which the test is the other end.
type terminal struct {
	t      *testing.T
	master *os.File
	mu     sync.Mutex
	text   bytes.Buffer // what the program wrote, and was not waited for yet
	news   chan struct{}
	ended  chan struct{}
}

// onTerminal runs linkseal on a terminal of its own, which sends it the
// signals that a terminal sends.
func onTerminal(t *testing.T, args ...string) (*terminal, *exec.Cmd) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	e := &terminal{t: t, master: master, news: make(chan struct{}, 1), ended: make(chan struct{})}
	e.resize(100, 30)
	c := exec.Command("linkseal", args...)
	c.Env = append(os.Environ(), "TERM=xterm")
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	go e.read()
	return e, c
}

func (e *terminal) read() {
	defer close(e.ended)
	piece := make([]byte, 4096)
	for {
		n, err := e.master.Read(piece)
		e.mu.Lock()
		e.text.Write(piece[:n])
		e.mu.Unlock()
		select {
		case e.news <- struct{}{}:
		default:
		}
		if err != nil { // EIO: the program has closed it
			return
		}
	}
}

func (e *terminal) resize(columns, rows uint16) {
	e.t.Helper()
	if err := unix.IoctlSetWinsize(int(e.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		e.t.Fatal(err)
	}
}

// await waits until the program has written want, and forgets what came up to
// it.
func (e *terminal) await(want string) {
	e.t.Helper()
	late := time.After(20 * time.Second)
	for ended := false; ; {
		e.mu.Lock()
		text := e.text.String()
		if _, after, ok := strings.Cut(text, want); ok {
			e.text.Reset()
			e.text.WriteString(after)
			e.mu.Unlock()
			return
		}
		e.mu.Unlock()
		text = text[max(len(text)-2000, 0):]
		select {
		case <-e.news:
		case <-e.ended: // it may have been written just before
			if ended {
				e.t.Fatalf("no %q in %q, and the program has ended", want, text)
			}
			ended = true
		case <-late:
			e.t.Fatalf("no %q in %q", want, text)
		}
	}
}

// On a terminal: a table with rates, drawn anew when the size changes, when the
// daemon goes and when it is back; after ctrl-C the screen is that of before.
func TestWatchTerminal(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	stop := serveStatus(t, path)
	defer func() { stop() }()
	e, c := onTerminal(t, "status", "--watch", "--interval", "100ms", "--socket", path)
	e.await("\x1b[?1049h\x1b[?25l\x1b[H")
	e.await("watched, linkseal test")
	e.await("rates of the last ")
	e.await("link1  secured")
	e.resize(20, 3)
	e.await("... ")
	e.await("\x1b[K\x1b[J")
	e.resize(100, 30)
	e.await("link1  secy  in   ok")
	stop()
	e.await("NO ANSWER at ")
	e.await("no daemon answers on " + path)
	stop = serveStatus(t, path)
	e.await("rates of the last")
	if _, err := e.master.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	e.await("\x1b[?25h\x1b[?1049l")
	if err := c.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	<-e.ended
	if rest := e.text.String(); rest != "" {
		t.Errorf("after the screen was given back: %q", rest)
	}
}

// Stopped by ctrl-Z it lets go of the terminal, and goes on with it after.
func TestWatchStopped(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	defer serveStatus(t, path)()
	e, c := onTerminal(t, "status", "--watch", "--interval", "100ms", "--socket", path)
	e.await("watched, linkseal test")
	// Not by the key: a session's leader has no shell that it could be
	// stopped for, so the terminal sends it nothing.
	if err := c.Process.Signal(unix.SIGTSTP); err != nil {
		t.Fatal(err)
	}
	e.await("\x1b[?25h\x1b[?1049l")
	var how unix.WaitStatus
	if _, err := unix.Wait4(c.Process.Pid, &how, unix.WUNTRACED, nil); err != nil || !how.Stopped() {
		t.Fatalf("not stopped: %v, %v", how, err)
	}
	e.mu.Lock()
	if rest := e.text.String(); rest != "" {
		t.Errorf("while it is stopped it has written %q", rest)
	}
	e.mu.Unlock()
	if err := c.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	e.await("\x1b[?1049h")
	e.await("watched, linkseal test")
	if err := c.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	e.await("\x1b[?1049l")
	if err := c.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// piped runs linkseal with its output in a pipe until enough of it says so,
// with its daemon stopped in the middle.
func piped(t *testing.T, args ...string) (out, errOut string) {
	t.Helper()
	path := socketPath(t)
	stop := serveStatus(t, path)
	defer func() { stop() }()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	c := exec.Command("linkseal", append([]string{"status", "--watch", "--interval", "100ms", "--socket", path}, args...)...)
	var all, complaints bytes.Buffer
	c.Stdout, c.Stderr = &all, writer
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	defer c.Process.Kill()
	if err := reader.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	await := func(want string) {
		t.Helper()
		piece := make([]byte, 1024)
		for !strings.Contains(complaints.String(), want) {
			n, err := reader.Read(piece)
			if complaints.Write(piece[:n]); err != nil {
				t.Fatalf("%q: %v", complaints.String(), err)
			}
		}
	}
	// Answers before and after: the daemon is told to be gone only after one.
	stop()
	await("no daemon answers")
	stop = serveStatus(t, path)
	await("answers again")
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	return all.String(), complaints.String()
}

// Without a terminal: blocks, no control sequences, and what is wrong on
// standard error, once.
func TestWatchPipe(t *testing.T) {
	t.Parallel()
	out, errOut := piped(t)
	if !strings.Contains(out, "link1  secured") || strings.Contains(out, "\x1b") || !strings.HasSuffix(out, "\n\n") {
		t.Errorf("%q", out)
	}
	if n := strings.Count(errOut, "no daemon answers"); n != 1 || strings.Count(errOut, "\n") != 2 {
		t.Errorf("%q", errOut)
	}
}

// With --json a document a line.
func TestWatchJSON(t *testing.T) {
	t.Parallel()
	out, _ := piped(t, "--json")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	for _, line := range lines {
		var s status.Status
		if err := json.Unmarshal([]byte(line), &s); err != nil || s.Name != "watched" || s.Ports[0].Name != "link1" {
			t.Errorf("%v: %q", err, line)
		}
	}
}
