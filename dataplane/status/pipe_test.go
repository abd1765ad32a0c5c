package status

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/linkseal/linkseal/linux/peercred"
)

// pipes is a listener of connections in memory, so that the server's and the
// client's long waits pass in a synctest bubble.
type pipes struct {
	dialed chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialed:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.dialed <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// log is what was logged.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// within runs test in a bubble with a server of d to whom all connections are
// by's, whose group is 990; stop begins its end.
func within(t *testing.T, d Daemon, by peercred.Cred, test func(t *testing.T, p *pipes, c *Client, l *log, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var l log
		d.Log = l.logger()
		s := &server{Daemon: d, group: 990, groupName: "990", who: func(net.Conn) (peercred.Cred, error) { return by, nil }}
		p := &pipes{dialed: make(chan net.Conn), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.serve(ctx, p) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		test(t, p, clientOver(p.dial), &l, cancel)
	})
}

func clientOver(dial func(context.Context, string, string) (net.Conn, error)) *Client {
	return &Client{socket: "pipe", http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// raw sends text over a connection of its own and returns it.
func (p *pipes) raw(t *testing.T, text string) net.Conn {
	t.Helper()
	c, err := p.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

// post is the head of a request with a body of length octets.
func post(path, length string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: linkseal\r\nContent-Type: application/json\r\nContent-Length: " + length + "\r\n\r\n"
}

// lines sends what r has, a line each, and closes at its end.
func lines(r io.Reader) <-chan string {
	all := make(chan string, 1000)
	go func() {
		defer close(all)
		for s := bufio.NewScanner(r); s.Scan(); {
			all <- strings.TrimSpace(s.Text())
		}
	}()
	return all
}
