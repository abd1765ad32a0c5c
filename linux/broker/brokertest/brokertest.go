// Package brokertest serves a broker in the process of a test.
package brokertest

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/linkseal/linkseal/linux/broker"
)

// Serve has a broker lend at path until stop, or the end of the test. The test says in
// broker.Variable whom it asks.
func Serve(t testing.TB, lends map[broker.What]broker.Lend) (path string, stop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "broker-") // a socket's path is short, a test's name may not be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- broker.Serve(ctx, l, lends, slog.New(slog.DiscardHandler)) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return path, stop
}
