package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/linux/peercred"
)

type step struct {
	Phase string `json:"phase"`
}

var root = peercred.Cred{UID: 0, GID: 0, PID: 7}

type rotateFunc = func(ctx context.Context, name string, by peercred.Cred, emit func(any) error) error

// Each event is with the client before the next is made.
func TestRotateStreams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	heard := make(chan struct{})
	var l log
	serveDaemon(t, path, Daemon{Log: l.logger(), Rotate: func(ctx context.Context, name string, by peercred.Cred, emit func(any) error) error {
		if name != "link1" {
			t.Errorf("name %q", name)
		}
		for i := range 3 {
			if err := emit(step{fmt.Sprint(by.PID > 0, i)}); err != nil {
				return err
			}
			select {
			case <-heard:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}})
	var got []string
	err := NewClient(path).Rotate(t.Context(), "link1", func(event json.RawMessage) error {
		got = append(got, string(event))
		heard <- struct{}{}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{`{"phase":"true 0"}`, `{"phase":"true 1"}`, `{"phase":"true 2"}`}, got); d != "" {
		t.Error(d)
	}
	if !strings.Contains(l.String(), `msg="a rotation was asked for" port=link1 uid=`) {
		t.Errorf("log:\n%s", l.String())
	}
}

// What is known before the stream begins is told by the HTTP status, what
// comes later by the last line.
func TestRotateErrors(t *testing.T) {
	for name, c := range map[string]struct {
		rotate rotateFunc
		port   string
		status int // 0: a line of the stream
		text   string
		events int
	}{
		"not here":   {nil, "a", http.StatusNotImplemented, "this daemon does not rotate keys", 0},
		"no name":    {nil, "", http.StatusBadRequest, `no name; accepted: {"name": PORT}`, 0},
		"no port":    {fails(&Refusal{404, errors.New("there is no port a")}, 0), "a", 404, "there is no port a", 0},
		"wrapped":    {fails(fmt.Errorf("keychain k: %w", &Refusal{409, errors.New("another owns it")}), 0), "a", 409, "keychain k: another owns it", 0},
		"odd status": {fails(&Refusal{200, errors.New("odd")}, 0), "a", 500, "odd", 0},
		"other":      {fails(errors.New("broken"), 0), "a", 500, "broken", 0},
		"later":      {fails(&Refusal{404, errors.New("lost")}, 2), "a", 0, "lost", 2},
		"well":       {fails(nil, 2), "a", 0, "", 2},
		"nothing":    {fails(nil, 0), "a", 0, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, Daemon{Rotate: c.rotate}, root, func(t *testing.T, _ *pipes, client *Client, _ *log, _ func()) {
				events := 0
				err := client.Rotate(t.Context(), c.port, func(json.RawMessage) error { events++; return nil })
				var refused *Refusal
				switch {
				case c.text == "" && err != nil, c.text != "" && (err == nil || err.Error() != c.text):
					t.Errorf("error %v, want %q", err, c.text)
				case errors.As(err, &refused) != (c.status != 0), c.status != 0 && refused.Status != c.status:
					t.Errorf("refusal %+v, want status %d", refused, c.status)
				}
				if events != c.events {
					t.Errorf("%d events, want %d", events, c.events)
				}
			})
		})
	}
}

func fails(err error, after int) rotateFunc {
	return func(_ context.Context, _ string, _ peercred.Cred, emit func(any) error) error {
		for range after {
			if err := emit(step{"one"}); err != nil {
				return err
			}
		}
		return err
	}
}

// A rotation that waits an hour for its peer keeps its stream: either end
// hears of the other, and no time-out of the server's ends it.
func TestRotateQuiet(t *testing.T) {
	rotate := func(ctx context.Context, _ string, _ peercred.Cred, emit func(any) error) error {
		for range 2 {
			select {
			case <-time.After(time.Hour):
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := emit(step{"hour"}); err != nil {
				return err
			}
		}
		return nil
	}
	within(t, Daemon{Rotate: rotate}, root, func(t *testing.T, p *pipes, c *Client, _ *log, _ func()) {
		events := 0
		if err := c.Rotate(t.Context(), "a", func(json.RawMessage) error { events++; return nil }); err != nil || events != 2 {
			t.Errorf("%d events, %v", events, err)
		}
		conn := p.raw(t, post("/v1/rotate", "12")+`{"name":"a"}`)
		defer conn.Close()
		all := lines(conn)
		time.Sleep(keepAlive - time.Second)
		synctest.Wait()
		if len(all) > 0 {
			t.Errorf("too early: %q", <-all)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		var head []string
		for len(all) > 0 {
			head = append(head, <-all)
		}
		if len(head) == 0 || head[0] != "HTTP/1.1 200 OK" || !slices.Contains(head, "Content-Type: application/x-ndjson") || head[len(head)-1] != "" {
			t.Errorf("after %s: %q", keepAlive, head)
		}
	})
}

// The client's going away ends the following, and nothing else.
func TestRotateClientGoes(t *testing.T) {
	ended, follows := make(chan error, 1), make(chan struct{})
	path := filepath.Join(t.TempDir(), "s")
	var l log
	serveDaemon(t, path, Daemon{Log: l.logger(), Rotate: func(ctx context.Context, _ string, _ peercred.Cred, emit func(any) error) error {
		if err := emit(step{"begun"}); err != nil {
			return err
		}
		close(follows)
		<-ctx.Done()
		ended <- emit(step{"unheard"})
		return ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-follows; cancel() }()
	err := NewClient(path).Rotate(ctx, "a", func(json.RawMessage) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the client: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("an event to nobody is no error")
	}
}

// What the caller's function returns ends its following too.
func TestRotateCallerStops(t *testing.T) {
	ended := make(chan struct{})
	rotate := func(ctx context.Context, _ string, _ peercred.Cred, emit func(any) error) error {
		defer close(ended)
		emit(step{"one"})
		<-ctx.Done()
		return ctx.Err()
	}
	enough := errors.New("enough")
	within(t, Daemon{Rotate: rotate}, root, func(t *testing.T, _ *pipes, c *Client, _ *log, _ func()) {
		if err := c.Rotate(t.Context(), "a", func(json.RawMessage) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("error %v", err)
		}
		<-ended
	})
}

// A client that does not read holds nothing up, and is let go.
func TestRotateClientHangs(t *testing.T) {
	var took time.Duration
	emitted, last := 0, error(nil)
	ended := make(chan struct{})
	rotate := func(ctx context.Context, _ string, _ peercred.Cred, emit func(any) error) error {
		defer close(ended)
		began := time.Now()
		for last == nil {
			last = emit(step{"much"})
			emitted++
		}
		took = time.Since(began)
		return last
	}
	within(t, Daemon{Rotate: rotate}, root, func(t *testing.T, p *pipes, _ *Client, _ *log, _ func()) {
		conn := p.raw(t, post("/v1/rotate", "12")+`{"name":"a"}`)
		defer conn.Close()
		<-ended
		if took != 0 || emitted > backlog+2 || !errors.Is(last, errSlow) {
			t.Errorf("%d events in %s, then %v", emitted, took, last)
		}
		began := time.Now()
		if _, err := io.Copy(io.Discard, afterWait(conn, writeTime+time.Second)); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > writeTime+2*time.Second {
			t.Errorf("the connection was open for %s", d)
		}
	})
}

// afterWait is r, read after d.
func afterWait(r io.Reader, d time.Duration) io.Reader {
	time.Sleep(d)
	return r
}

func TestRotateDaemonStops(t *testing.T) {
	begun := make(chan struct{})
	rotate := func(ctx context.Context, _ string, _ peercred.Cred, emit func(any) error) error {
		emit(step{"one"})
		close(begun)
		<-ctx.Done()
		return fmt.Errorf("following: %w", ctx.Err())
	}
	within(t, Daemon{Rotate: rotate}, root, func(t *testing.T, _ *pipes, c *Client, _ *log, stop func()) {
		go func() { <-begun; stop() }()
		if err := c.Rotate(t.Context(), "a", func(json.RawMessage) error { return nil }); err == nil || err.Error() != errStops.Error() {
			t.Errorf("error %v", err)
		}
	})
}

// What a daemon that dies, or is none, leaves of a stream is told as that.
func TestRotateTorn(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	for name, c := range map[string]struct{ answer, want string }{
		"between events": {head + chunk(`{"phase":"a"}`+"\n"), "the stream was cut (unexpected EOF), and the rotation's end was not seen"},
		"in an event":    {head + chunk(`{"phase":"a"}`+"\n"+`{"pha`), "the stream was cut (unexpected EOF)"},
		"in the header":  {head[:30], "transport connection broken: unexpected EOF"},
		"no JSON":        {head + chunk("hello\n") + chunk(""), "is it linkseal's socket?"},
		"long line":      {head + chunk(strings.Repeat("x", maxEvent+1)) + chunk(""), "token too long"},
		"another server": {"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n", "404 Not Found; is it linkseal's socket, and of this version?"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pipes{dialed: make(chan net.Conn), closed: make(chan struct{})}
				go answerWith(p, c.answer)
				err := clientOver(p.dial).Rotate(t.Context(), "a", func(event json.RawMessage) error {
					if string(event) != `{"phase":"a"}` {
						t.Errorf("event %s", event)
					}
					return nil
				})
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q", err, c.want)
				}
			})
		})
	}
}

// answerWith answers one request with text and closes.
func answerWith(p *pipes, text string) {
	conn := <-p.dialed
	defer conn.Close()
	buffer := make([]byte, 4096)
	if _, err := conn.Read(buffer); err != nil {
		return
	}
	io.WriteString(conn, text)
}

func TestRotateDaemonHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{dialed: make(chan net.Conn), closed: make(chan struct{})}
		go func() { io.Copy(io.Discard, <-p.dialed) }()
		began := time.Now()
		err := clientOver(p.dial).Rotate(t.Context(), "a", func(json.RawMessage) error { return nil })
		if !errors.Is(err, errSilent) || time.Since(began) != silence {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}
