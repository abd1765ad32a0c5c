package status

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func listen(t *testing.T, path string) *Listener {
	t.Helper()
	l, err := Listen(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// serve answers on path with the example until the test ends; stop ends it
// before.
func serve(t *testing.T, path string) (stop func()) {
	t.Helper()
	return serveDaemon(t, path, Daemon{Snapshot: example, Log: slog.New(slog.DiscardHandler)})
}

// serveDaemon answers on path for d.
func serveDaemon(t *testing.T, path string, d Daemon) (stop func()) {
	t.Helper()
	return serveOn(t, listen(t, path), d)
}

func serveOn(t *testing.T, l *Listener, d Daemon) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, d) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func TestServe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir", "s")
	stop := serve(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o660 {
		t.Errorf("mode %o, want 660", mode)
	}
	got, err := NewClient(path).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := example()
	want.Fill()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	stop()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Serve the socket is there: %v", err)
	}
}

func TestServeRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	serve(t, path)
	c := NewClient(path)
	for _, r := range []struct {
		method, path string
		want         int
	}{{"GET", "/", 404}, {"POST", "/v1/status", 405}, {"GET", "/v1/status/x", 404}} {
		request, err := http.NewRequestWithContext(t.Context(), r.method, "http://linkseal"+r.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != r.want {
			t.Errorf("%s %s: %s, want %d", r.method, r.path, answer.Status, r.want)
		}
	}
}

func TestListenStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	listen(t, path)
	if !answers(path) {
		t.Error("nothing answers on the new socket")
	}
}

func TestListenSecondDaemon(t *testing.T) {
	for name, remove := range map[string]bool{"lock": false, "lock file removed": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			first := listen(t, path)
			if remove {
				if err := os.Remove(path + ".lock"); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Listen(path, -1); err == nil || !strings.Contains(err.Error(), "another linkseal daemon has it") {
				t.Errorf("second Listen: %v", err)
			}
			if !answers(path) {
				t.Error("the first daemon's socket is gone")
			}
			first.Close()
			listen(t, path)
		})
	}
}

func TestListenNotASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, -1); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("Listen on a file: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file: %q, %v", b, err)
	}
}

func TestClientNoDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	_, err := NewClient(path).Status(t.Context())
	want := "no daemon answers on " + path + "; start it with linkseal run --config FILE"
	if !errors.Is(err, ErrNoDaemon) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestClientOtherServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := listen(t, path)
	server := &http.Server{Handler: http.NotFoundHandler()}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	if _, err := NewClient(path).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "404 Not Found; is it linkseal's socket, and of this version?") {
		t.Errorf("error %v", err)
	}
}
