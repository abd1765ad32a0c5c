package status

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/linux/peercred"
)

func TestRootOrGroup(t *testing.T) {
	s := &server{group: 990}
	for want, all := range map[bool][]peercred.Cred{
		true:  {{UID: 0, GID: 5}, {UID: 1001, GID: 990}, {UID: 1001, GID: 5, Groups: []uint32{4, 990}}, {UID: 1001, GID: 990, Groups: []uint32{4}}},
		false: {{UID: 1001, GID: 0}, {UID: 990, GID: 5}, {UID: 1001, GID: 5, Groups: []uint32{0, 4, 991}}, {UID: 65534, GID: 65534}},
	} {
		for _, by := range all {
			if rootOrGroup(s, by) != want {
				t.Errorf("%+v: want %t", by, want)
			}
		}
	}
}

// Who may do nothing gets 403 for everything, and can learn nothing from it.
func TestStrangers(t *testing.T) {
	d := Daemon{Snapshot: func() Status { t.Error("asked"); return Status{} }}
	within(t, d, peercred.Cred{UID: 1001, GID: 1002, PID: 42}, func(t *testing.T, _ *pipes, c *Client, l *log, _ func()) {
		for _, r := range []struct{ method, path string }{{"GET", "/v1/status"}, {"POST", "/v1/reload"}, {"POST", "/v1/rotate"}, {"GET", "/v1/rotate"}, {"GET", "/"}, {"POST", "/nothing"}} {
			code, text, _ := do(t, c, r.method, r.path, "", strings.NewReader(strings.Repeat("x", 1<<10)))
			if code != http.StatusForbidden || !strings.Contains(text, "uid 1001 is neither root nor in group 990; be root, or get into that group and log in anew") {
				t.Errorf("%s %s: %d %s", r.method, r.path, code, text)
			}
		}
		err := c.Reload(t.Context())
		if refused := (*Refusal)(nil); !errors.As(err, &refused) || refused.Status != 403 || !strings.HasPrefix(err.Error(), "control socket pipe: uid 1001 is neither") {
			t.Errorf("client: %v", err)
		}
		if n := strings.Count(l.String(), "refuses a caller"); n != 1 || !strings.Contains(l.String(), "method=GET path=/v1/status not_logged=0 uid=1001 gid=1002 pid=42 group=990") {
			t.Errorf("%d lines of log:\n%s", n, l)
		}
		time.Sleep(pause)
		if _, err := c.Status(t.Context()); err == nil {
			t.Error("status is told")
		}
		if !strings.Contains(l.String(), "not_logged=6 ") {
			t.Errorf("log:\n%s", l)
		}
	})
}

// Who is refused may send the body to its end, and has the answer.
func TestStrangersBody(t *testing.T) {
	l := listen(t, filepath.Join(t.TempDir(), "s"))
	s := &server{Daemon: Daemon{Log: slog.New(slog.DiscardHandler)}, group: 990, who: func(net.Conn) (peercred.Cred, error) { return peercred.Cred{UID: 1001}, nil }}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.serve(ctx, l) }()
	for range 50 {
		conn, err := net.Dial("unix", l.path)
		if err != nil {
			t.Fatal(err)
		}
		head, body := post("/v1/rotate", strconv.Itoa(maxBody)+"\r\nConnection: close"), strings.Repeat("x", maxBody)
		if _, err := io.WriteString(conn, head); err != nil {
			t.Error(err)
		}
		if _, err := io.WriteString(conn, body); err != nil {
			t.Error(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 403") {
			t.Errorf("%q, %v", answer, err)
		}
		conn.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A caller who cannot be told is a stranger.
func TestUnknownCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l log
		s := &server{Daemon: Daemon{Snapshot: example, Log: l.logger()}, who: credentials}
		p := &pipes{dialed: make(chan net.Conn), closed: make(chan struct{})}
		done := make(chan error, 1)
		go func() { done <- s.serve(t.Context(), p) }()
		_, err := clientOver(p.dial).Status(t.Context())
		if err == nil || !strings.Contains(err.Error(), "it cannot be told who is asking: a *net.pipe is no unix socket") || !strings.Contains(l.String(), "a caller whom it cannot identify") {
			t.Errorf("%v, log:\n%s", err, &l)
		}
		p.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("serve over a listener that ended: %v", err)
		}
	})
}
