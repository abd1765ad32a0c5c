package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func listen(t *testing.T) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "broker"), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// tellsNothing checks that err is nobody's answer: what asks about the kernel by its
// numbers finds none.
func tellsNothing(t *testing.T, err error) {
	t.Helper()
	var errno unix.Errno
	if !errors.Is(err, ErrUnanswered) || errors.As(err, &errno) || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		t.Errorf("%v (%T) is to be nothing but unanswered", err, err)
	}
	if err != nil && !strings.Contains(err.Error(), "systemctl restart linkseal-broker") {
		t.Errorf("no remedy in %v", err)
	}
}

// A broker that is not there is not the kernel saying that something is not there.
func TestNobody(t *testing.T) {
	dir := t.TempDir()
	stale, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(dir, "stale"), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	for _, name := range []string{"none", "stale"} {
		for _, what := range []What{MapExists, Trial, TPM} {
			_, _, err := ask(filepath.Join(dir, name), Request{What: what})
			tellsNothing(t, err)
		}
	}
}

// One that hangs, or that the service manager cannot start while it listens for it,
// costs the time of a start once, whatever it is asked and how often; asked again later,
// it costs less.
func TestHangs(t *testing.T) {
	for name, accepts := range map[string]bool{"accepts": true, "only listens": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listen(t)
			path := l.Addr().String()
			var asked atomic.Int32
			if accepts {
				go func() {
					for {
						c, err := l.AcceptUnix()
						if err != nil {
							return
						}
						asked.Add(1)
						defer c.Close()
					}
				}()
			}
			began := time.Now()
			for range 20 {
				for _, what := range []What{Trial, TPM, Program, Map, InnerMap, Cgroups, PacketSocket} {
					_, _, err := ask(path, Request{What: what})
					tellsNothing(t, err)
				}
			}
			if took := time.Since(began); took < starting || took > starting+patience {
				t.Errorf("20 devices' asks took %s", took)
			}
			if accepts && asked.Load() != 1 {
				t.Errorf("it was asked %d times", asked.Load())
			}
			silent.Range(func(on, found any) bool { // the respite is over
				if s := found.(silence); on.(topic).path == path {
					silent.Store(on, silence{s.since, time.Now()})
				}
				return true
			})
			began = time.Now()
			_, _, err := ask(path, Request{What: Program})
			tellsNothing(t, err)
			if want := "longer than " + patience.String(); time.Since(began) < patience || !strings.Contains(err.Error(), want) {
				t.Errorf("asked again, for %s: %v; want %s", time.Since(began), err, want)
			}
		})
	}
}

// One that starts with who asks, and is slower, answers all who do.
func TestStartsLater(t *testing.T) {
	t.Parallel()
	l := listen(t)
	path := l.Addr().String()
	const later = patience + patience/10
	began := time.Now()
	time.AfterFunc(later, func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			serve(c, map[What]Lend{
				Program: func(_, _ uint32) (int, string, error) { return -1, "fine", nil },
				Trial:   func(_, _ uint32) (int, string, error) { return -1, "fine", nil },
			})
			c.Close()
		}
	})
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			time.Sleep(time.Duration(n) * time.Second)
			what := []What{Program, Trial}[n%2]
			if _, text, err := ask(path, Request{What: what}); err != nil || text != "fine" {
				t.Errorf("asked %d s after the first: %q, %v", n, text, err)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took < later {
		t.Errorf("answered after %s, before it ran", took)
	}
}

// One that dies under a question is asked again; one that always does costs no time,
// and answers as soon as it lives.
func TestDies(t *testing.T) {
	l := listen(t)
	path := l.Addr().String()
	lends := map[What]Lend{Program: func(_, _ uint32) (int, string, error) { return -1, "fine", nil }}
	var dies atomic.Int32
	var reads atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			if dies.Add(-1) >= 0 {
				if reads.Load() {
					c.Read(make([]byte, requestLen))
				}
				c.Close()
				continue
			}
			serve(c, lends)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	for _, read := range []bool{false, true} {
		reads.Store(read)
		dies.Store(1)
		if _, text, err := ask(path, Request{What: Program}); err != nil || text != "fine" {
			t.Errorf("after it died once: %q, %v", text, err)
		}
		dies.Store(1 << 20)
		began := time.Now()
		for range 50 {
			_, _, err := ask(path, Request{What: Program})
			tellsNothing(t, err)
		}
		if took := time.Since(began); took > patience {
			t.Errorf("50 asks took %s", took)
		}
		dies.Store(0)
		if _, text, err := ask(path, Request{What: Program}); err != nil || text != "fine" {
			t.Errorf("when it lives: %q, %v", text, err)
		}
	}
}

// What a broker has accepted it answers, though it is told to end; what it has not
// accepted stays for the next.
func TestEnds(t *testing.T) {
	answered := 0
	for range 300 {
		l := listen(t)
		f, err := l.File() // as the service manager has it
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.DialUnix("unixpacket", nil, l.Addr().(*net.UnixAddr))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(Request{What: Program}.append(nil)); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		stop()
		if err := Serve(ctx, l, map[What]Lend{Program: func(_, _ uint32) (int, string, error) { return -1, "", nil }}, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := c.Read(make([]byte, 64))
		if n > 0 {
			answered++
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("accepted and not answered: %v", err)
		}
		c.Close()
		f.Close()
	}
	if answered == 0 {
		t.Error("it never accepted one: nothing was tried")
	}
}

// The service manager is told that it is ready, and then that it lives.
func TestWatchdog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	n, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "100000")
	start(t, nil)
	n.SetDeadline(time.Now().Add(10 * time.Second))
	for _, want := range []string{"READY=1\n", "WATCHDOG=1\n", "WATCHDOG=1\n"} {
		b := make([]byte, 64)
		got, err := n.Read(b)
		if err != nil || string(b[:got]) != want {
			t.Errorf("told %q, %v; want %q", b[:got], err, want)
		}
	}
}
