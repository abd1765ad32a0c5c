package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// openForTest opens a contender and removes it with the test.
func openForTest(t *testing.T, name string) *bench {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.Veth)
	probetest.NeedTool(t, "iperf3", "ping")
	chosen, _, err := choose(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBench(settings{rounds: 1, seconds: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
		if left := namespaces(t); len(left) > 0 {
			t.Errorf("namespaces are left: %q", left)
		}
	})
	if err := b.open(t.Context(), chosen[0]); err != nil {
		t.Fatal(err)
	}
	return b
}

// namespaces that this process made and did not remove.
func namespaces(t *testing.T) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(netns.Dir, fmt.Sprintf("ls%d.*", os.Getpid())))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestVeth(t *testing.T) {
	b := openForTest(t, "veth")
	e := b.up[0].ends
	if len(namespaces(t)) != 2 {
		t.Errorf("namespaces: %q", namespaces(t))
	}
	s, err := measureTCP(t.Context(), b, e, 2, tcp4, true)
	if err != nil || s[tcp4] <= 0 || s[cpu] <= 0 {
		t.Errorf("TCP: %v, %v", s, err)
	}
	if _, ok := s[cpuD]; ok {
		t.Error("a veth has daemons")
	}
	s, err = measureRoundTrip(t.Context(), b, e)
	if err != nil || s[rtt] <= 0 || s[rttP] < s[rtt] {
		t.Errorf("round trip: %v, %v", s, err)
	}
	// A client that has no processor at its end does not catch up.
	for try := 1; ; try++ {
		sender, receiver, err := iperf(t.Context(), e, 1, "--udp", "--length", "64", "--bitrate", "512000", "--window", fmt.Sprint(b.window))
		if err != nil {
			t.Fatal(err)
		}
		got, err := datagrams(sender, receiver)
		if err == nil && got.sent >= 500 && got.sent <= 2000 && got.received <= got.sent {
			return
		}
		if try == 3 {
			t.Fatalf("1000 datagrams a second: %+v, %v", got, err)
		}
	}
}

// An interrupt ends the measurement under way at once, and reports no round.
func TestInterrupted(t *testing.T) {
	b := openForTest(t, "veth")
	ctx, cancel := context.WithCancel(t.Context())
	b.settings.seconds = 60
	e := b.up[0].ends
	begin := time.Now()
	done := make(chan error, 1)
	go func() {
		_, err := measureTCP(ctx, b, e, 1, tcp1, false)
		done <- err
	}()
	if err := awaitListener(ctx, e, netip.AddrPortFrom(e.target, iperfPort), &process{exited: make(chan struct{})}); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if d := time.Since(begin); d > 30*time.Second {
		t.Errorf("it took %v", d)
	}
	var log bytes.Buffer
	r, err := b.run(ctx, &log)
	if err == nil || r.Rounds != 0 || log.Len() != 0 {
		t.Errorf("a run with no time: %d rounds, %v, %q", r.Rounds, err, &log)
	}
}

// What fails to start says why, and iperf3's own words are in the error.
func TestProcessFails(t *testing.T) {
	ns, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if _, err := start(t.Context(), ns, "/nonexistent/program"); err == nil || !strings.Contains(err.Error(), "/nonexistent/program") {
		t.Errorf("no such program: %v", err)
	}
	if out, err := run(t.Context(), ns, "sh", "-c", "echo out; echo why >&2; exit 3"); err == nil || !strings.HasSuffix(err.Error(), "exit status 3: why") || string(out) != "out\n" {
		t.Errorf("%q, %v", out, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := run(ctx, ns, "sleep", "60"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("out of time: %v", err)
	}
}

func TestTwice(t *testing.T) {
	n := 0
	v, err := twice(t.Context(), func() (int, error) {
		if n++; n == 1 {
			return 0, errors.New("once")
		}
		return n, nil
	})
	if v != 2 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n = 0
	if _, err := twice(ctx, func() (int, error) { n++; cancel(); return 0, errors.New("always") }); err == nil || n != 1 {
		t.Errorf("when interrupted: %v after %d", err, n)
	}
}

func TestFlags(t *testing.T) {
	s, err := parse([]string{"-rounds", "2", "-only", "veth"})
	if err != nil || s.rounds != 2 || s.seconds != 3 || s.only != "veth" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, args := range [][]string{{"x"}, {"-rounds", "0"}, {"-seconds", "0"}, {"-seconds", "61"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	for _, only := range []string{"x", "veth,", ","} {
		if _, _, err := choose(only); err == nil {
			t.Errorf("-only %q: no error", only)
		}
	}
	probetest.Need(t, probe.NetNS, probe.Veth)
	if _, _, err := choose("veth,veth"); err == nil {
		t.Error("-only veth,veth: no error")
	}
	chosen, notes, err := choose("")
	if err != nil || len(chosen)+len(notes) != len(all) {
		t.Errorf("%q, notes %q, %v", names(chosen), notes, err)
	}
}

func TestGCMLimit(t *testing.T) {
	if got, err := gcmLimit(time.Millisecond); err != nil || got <= 0 {
		t.Errorf("%v, %v", got, err)
	}
}
