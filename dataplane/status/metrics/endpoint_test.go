package metrics

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/azure"
)

// journal is what was logged, a line each.
type journal struct {
	slog.Handler
	mu    *sync.Mutex
	lines *[]string
	more  chan struct{}
}

func newJournal() *journal {
	j := &journal{mu: new(sync.Mutex), lines: new([]string), more: make(chan struct{}, 1)}
	j.Handler = slog.NewTextHandler(j, nil)
	return j
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	*j.lines = append(*j.lines, string(p))
	select {
	case j.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (j *journal) count(part string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range *j.lines {
		if strings.Contains(l, part) {
			n++
		}
	}
	return n
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(*j.lines, "")
}

// wait waits until part was logged n times.
func (j *journal) wait(t *testing.T, part string, n int) {
	t.Helper()
	for late := time.After(30 * time.Second); j.count(part) < n; {
		select {
		case <-j.more:
		case <-late:
			t.Fatalf("not told %d times: %s\n%s", n, part, j)
		}
	}
}

func get(t *testing.T, h http.Handler, method, path string) (code int, header http.Header, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code, w.Header(), w.Body.String()
}

func TestMethods(t *testing.T) {
	h := Handler(collector(example()), slog.New(newJournal()))
	code, header, body := get(t, h, "GET", Path)
	if code != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=0.0.4") || !strings.Contains(body, "\nlinkseal_port_state{") || !strings.Contains(body, "\ngo_goroutines ") {
		t.Errorf("%d %v\n%s", code, header, body)
	}
	if code, _, _ := get(t, h, "HEAD", Path); code != 200 {
		t.Errorf("HEAD: %d", code)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"} {
		if code, header, _ := get(t, h, method, Path); code != 405 || header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, %v", method, code, header)
		}
	}
	for _, path := range []string{"/", "/metrics/", "/metrics/x", "/debug/pprof/", "/v1/status"} {
		if code, _, _ := get(t, h, "GET", path); code != 404 {
			t.Errorf("%s: %d", path, code)
		}
	}
}

// start runs an endpoint until the end of the test.
func start(t *testing.T, read func() status.Status) (*Endpoint, *journal) {
	t.Helper()
	j := newJournal()
	e := NewEndpoint(read, slog.New(j))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
		if e.Report() != nil && e.Report().Serving {
			t.Errorf("after the end: %+v", e.Report())
		}
	})
	return e, j
}

var local = netip.MustParseAddrPort("127.0.0.1:0")

// The endpoint follows what is configured, over real sockets: nowhere, here,
// there, where another is, and nowhere again.
func TestFollowsConfiguration(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("", func(t *testing.T) {
		e, j := start(t, example)
		if r := e.Report(); r != nil {
			t.Errorf("nothing is configured: %+v", r)
		}
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		ask := func(at string) (int, error) {
			resp, err := client.Get("http://" + at + Path)
			if err != nil {
				return 0, err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if !strings.Contains(string(body), "linkseal_appliance_info{") {
				err = errors.Join(err, fmt.Errorf("an answer of %d octets", len(body)))
			}
			return resp.StatusCode, err
		}
		served := func(n int) string {
			t.Helper()
			j.wait(t, "metrics are served", n)
			r := e.Report()
			if r == nil || !r.Serving || r.Error != "" {
				t.Fatalf("%+v\n%s", r, j)
			}
			if code, err := ask(r.Listen); code != 200 || err != nil {
				t.Fatalf("%d, %v", code, err)
			}
			return r.Listen
		}
		e.Set(local)
		first := served(1)
		e.Set(local) // a reload that changes nothing
		e.Set(netip.MustParseAddrPort("[::1]:0"))
		second := served(2)
		if _, err := ask(first); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("where it was: %v", err)
		}
		taken, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		e.Set(netip.MustParseAddrPort(taken.Addr().String()))
		j.wait(t, "metrics are not served", 1)
		if r := e.Report(); r.Serving || !strings.HasPrefix(r.Error, "address already in use; stop what has it") || r.Listen != taken.Addr().String() {
			t.Errorf("%+v", r)
		}
		if _, err := ask(second); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("where it was: %v", err)
		}
		taken.Close()
		if got := served(3); got != taken.Addr().String() {
			t.Errorf("served at %s", got)
		}
		e.Set(netip.AddrPort{})
		j.wait(t, "metrics are no longer served", 3)
		if r := e.Report(); r != nil {
			t.Errorf("nothing is configured: %+v", r)
		}
		if n := j.count("level=ERROR"); n != 1 {
			t.Errorf("%d errors\n%s", n, j)
		}
	})
}

// listening is a fake of the system: it refuses with err, and gives pipes
// without.
type listening struct {
	mu    sync.Mutex
	err   error
	tries int
	pipe  *azure.Pipe
}

func (l *listening) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *listening) listen(_ context.Context, at netip.AddrPort) (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tries++
	if l.err != nil {
		return nil, l.err
	}
	l.pipe = azure.NewPipe(at)
	return l.pipe, nil
}

// What cannot be opened is tried again, ever less often, and told once; another
// address is tried at once.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listening{err: errors.New("no such address")}
		j := newJournal()
		e := NewEndpoint(example, slog.New(j))
		e.listen = l.listen
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			e.Run(ctx)
		}()
		e.Set(local)
		time.Sleep(time.Hour)
		synctest.Wait()
		if l.tries < 60 || l.tries > 70 || j.count("metrics are not served") != 1 || e.Report().Error != "no such address" {
			t.Errorf("%d tries, %+v\n%s", l.tries, e.Report(), j)
		}
		n := l.tries
		e.Set(netip.MustParseAddrPort("127.0.0.2:9469"))
		synctest.Wait()
		if l.tries != n+1 || j.count("metrics are not served") != 2 {
			t.Errorf("%d tries\n%s", l.tries-n, j)
		}
		l.set(nil)
		time.Sleep(firstRetry)
		synctest.Wait()
		if r := e.Report(); !r.Serving || r.Error != "" {
			t.Errorf("%+v\n%s", r, j)
		}
		// A listener that breaks is opened anew.
		l.pipe.Close()
		time.Sleep(firstRetry)
		synctest.Wait()
		if r := e.Report(); !r.Serving || j.count("metrics are served") != 2 {
			t.Errorf("%+v\n%s", r, j)
		}
		stop()
		<-done
	})
}

// Who connects and says nothing, half a request, or too much, is let go of.
func TestHostile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(listening)
		e := NewEndpoint(example, slog.New(newJournal()))
		e.listen = l.listen
		e.Set(local)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			e.Run(ctx)
		}()
		synctest.Wait()
		for _, c := range []struct {
			name, say string
			within    time.Duration
			answer    string
		}{
			{"silent", "", headTime, ""},
			{"half a header", "GET /metrics HTTP/1.1\r\nHost: a", headTime, ""},
			{"a body that does not come", "GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", readTime + time.Minute, "HTTP/1.1 200"},
			{"a huge header", "GET /metrics HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", headTime, "HTTP/1.1 431"},
			{"not HTTP", "\x16\x03\x01\x02\x00\x01\r\n\r\n", headTime, "HTTP/1.1 400"},
			{"does not go", "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 2 * time.Minute, "HTTP/1.1 200"},
		} {
			conn, err := l.pipe.DialContext(t.Context(), "tcp", "")
			if err != nil {
				t.Fatal(err)
			}
			go conn.Write([]byte(c.say)) // it fails when the other end lets go
			began := time.Now()
			line, _ := bufio.NewReader(io.TeeReader(conn, io.Discard)).ReadString('\n')
			io.Copy(io.Discard, conn)
			if took := time.Since(began); took > c.within || !strings.HasPrefix(line, c.answer) {
				t.Errorf("%s: %q, let go of after %v", c.name, line, took)
			}
			conn.Close()
		}
		stop()
		<-done
	})
}
