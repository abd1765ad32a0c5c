package status

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/linux/peercred"
)

// crowd is a server of d to callers of any uid, in group 990.
type crowd struct {
	*pipes
	t   *testing.T
	uid atomic.Uint32
	log log
}

func crowded(t *testing.T, d Daemon, test func(*crowd)) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{t: t, pipes: &pipes{dialed: make(chan net.Conn), closed: make(chan struct{})}}
		d.Log = c.log.logger()
		s := &server{Daemon: d, group: 990, groupName: "990", who: func(net.Conn) (peercred.Cred, error) {
			return peercred.Cred{UID: c.uid.Load(), GID: 990}, nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.serve(ctx, c.pipes) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		test(c)
	})
}

// sends sends text from uid over a connection of its own, which stays open, and
// returns it with the first line of the answer; empty if none comes soon.
func (c *crowd) sends(uid uint32, text string) (net.Conn, string) {
	c.t.Helper()
	c.uid.Store(uid)
	conn, err := c.dial(c.t.Context(), "", "")
	if err != nil {
		c.t.Fatal(err)
	}
	synctest.Wait() // it is known who has it
	conn.SetWriteDeadline(time.Now().Add(time.Millisecond))
	io.WriteString(conn, text) // one that is closed takes nothing
	synctest.Wait()
	conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	answer := make([]byte, 512)
	n, _ := conn.Read(answer)
	line, _, _ := strings.Cut(string(answer[:n]), "\r\n")
	return conn, line
}

const getStatus = "GET /v1/status HTTP/1.1\r\nHost: l\r\n\r\n"

func (c *crowd) want(what, want string, uid uint32, text string) net.Conn {
	c.t.Helper()
	conn, got := c.sends(uid, text)
	if got != want {
		c.t.Errorf("%s: %q, want %q", what, got, want)
	}
	return conn
}

const (
	ok   = "HTTP/1.1 200 OK"
	many = "HTTP/1.1 429 Too Many Requests"
)

// What one caller holds open keeps nobody else from anything, nor that caller
// from reading the status.
func TestStreamsOfOne(t *testing.T) {
	d := Daemon{Snapshot: example, Rotate: func(ctx context.Context, _ string, _ peercred.Cred, emit func(any) error) error {
		emit(step{"begun"})
		<-ctx.Done()
		return ctx.Err()
	}, Reload: func(ctx context.Context) ([]string, error) { return nil, nil }}
	rotate, reload := post("/v1/rotate", "12")+`{"name":"a"}`, post("/v1/reload", "2")+"{}"
	crowded(t, d, func(c *crowd) {
		var held []net.Conn
		for range eachFollowed {
			held = append(held, c.want("a stream", ok, 1001, rotate))
		}
		c.want("one stream too many", many, 1001, rotate).Close()
		c.want("a reload beside them", ok, 1001, reload).Close()
		for range 2 * each { // more than there are places for
			c.want("its status", ok, 1001, getStatus).Close()
			synctest.Wait()
		}
		c.want("another's status", ok, 1002, getStatus).Close()
		held = append(held, c.want("another's stream", ok, 1002, rotate))
		c.want("another's reload", ok, 1003, reload).Close()
		for uid := uint32(1010); uid < 1010+mostFollowed/eachFollowed; uid++ {
			for range eachFollowed {
				conn, _ := c.sends(uid, rotate)
				held = append(held, conn)
			}
		}
		c.want("a stream when all have too many", many, 1004, rotate).Close()
		c.want("status when all have too many", ok, 1004, getStatus).Close()
		held = append(held, c.want("root's stream", ok, 0, rotate))
		c.want("root's reload", ok, 0, reload).Close()
		held[0].Close()
		held[1].Close()
		time.Sleep(keepAlive) // it is noticed
		synctest.Wait()
		held = append(held, c.want("a stream after two ended", ok, 1001, rotate))
		for _, conn := range held {
			conn.Close()
		}
	})
}

// Root is kept from nothing by all that it follows itself, nor by the reloads
// that it waits for.
func TestRootGetsIn(t *testing.T) {
	hold := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	d := Daemon{Snapshot: example, Rotate: func(ctx context.Context, _ string, _ peercred.Cred, emit func(any) error) error {
		emit(step{"begun"})
		return hold(ctx)
	}, Reload: func(ctx context.Context) ([]string, error) { return nil, hold(ctx) }}
	rotate, reload := post("/v1/rotate", "12")+`{"name":"a"}`, post("/v1/reload", "2")+"{}"
	crowded(t, d, func(c *crowd) {
		var held []net.Conn
		for range rootsFollowed {
			held = append(held, c.want("root's stream", ok, 0, rotate))
		}
		c.want("one that only a fault asks for", many, 0, rotate).Close()
		for range rootsReloads {
			held = append(held, c.want("root's reload", "", 0, reload)) // it is waited for
		}
		held = append(held, c.want("root's status", ok, 0, getStatus), c.want("another's stream", ok, 1001, rotate))
		for _, conn := range held {
			conn.Close()
		}
	})
}

// Reloads that hang keep their caller neither from rotations nor from the
// status.
func TestReloadsOfOne(t *testing.T) {
	d := Daemon{Snapshot: example, Rotate: func(context.Context, string, peercred.Cred, func(any) error) error { return nil },
		Reload: func(ctx context.Context) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
	rotate, reload := post("/v1/rotate", "12")+`{"name":"a"}`, post("/v1/reload", "2")+"{}"
	crowded(t, d, func(c *crowd) {
		var held []net.Conn
		for range eachReloads {
			held = append(held, c.want("a reload", "", 1001, reload))
		}
		held = append(held, c.want("one too many", many, 1001, reload), c.want("a rotation", ok, 1001, rotate), c.want("its status", ok, 1001, getStatus))
		for _, conn := range held {
			conn.Close()
		}
	})
}

// Nor do connections: who has too many is told so, or closed, and a place that
// is given back is another's.
func TestConnectionsOfOne(t *testing.T) {
	crowded(t, Daemon{Snapshot: example}, func(c *crowd) {
		var held []net.Conn
		for range each {
			held = append(held, c.want("a connection", ok, 1001, getStatus))
		}
		c.want("one too many", many, 1001, getStatus).Close()
		for range told {
			conn, _ := c.sends(1001, "")
			held = append(held, conn)
		}
		conn, _ := c.sends(1001, "")
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("one more than can be told is open: %v", err)
		}
		c.want("another's", ok, 1002, getStatus).Close()
		for uid := uint32(1010); uid < 1010+most/each; uid++ {
			for range each {
				conn, _ := c.sends(uid, "")
				held = append(held, conn)
			}
		}
		c.want("when all have too many", many, 1002, getStatus).Close()
		held = append(held, c.want("root's", ok, 0, getStatus))
		held[0].Close()
		synctest.Wait()
		held[0].Close() // gives its place back once
		c.want("after one has ended", ok, 1002, getStatus).Close()
		if n := strings.Count(c.log.String(), "has no place for a connection"); n != 1 {
			t.Errorf("told %d times:\n%s", n, c.log.String())
		}
		for _, conn := range held {
			conn.Close()
		}
	})
}
