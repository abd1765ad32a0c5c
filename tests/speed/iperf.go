package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"
)

const iperfPort = 5201

// iperf runs iperf3 once, with more of the client's arguments, and returns what
// the sender and the receiver report.
func iperf(ctx context.Context, e *ends, seconds int, args ...string) (sender, receiver report, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+15*time.Second)
	defer cancel()
	to := netip.AddrPortFrom(e.target, iperfPort)
	server, err := start(ctx, e.to, "iperf3", "--server", "--one-off", "--json", "--interval", "0.5", "--bind", e.target.String(), "--port", strconv.Itoa(iperfPort))
	if err != nil {
		return sender, receiver, err
	}
	// A server that had no client waits for one for ever.
	defer func() { cancel(); <-server.exited }()
	if err := awaitListener(ctx, e, to, server); err != nil {
		return sender, receiver, err
	}
	args = append([]string{"--client", e.target.String(), "--port", strconv.Itoa(iperfPort), "--json", "--interval", "0.5", "--time", strconv.Itoa(seconds)}, args...)
	out, err := run(ctx, e.from, "iperf3", args...)
	// It tells in the JSON why it failed.
	sender, parsed := parseReport(out)
	if err = errors.Join(err, parsed); err != nil {
		return sender, receiver, err
	}
	if err := server.wait(); err != nil {
		return sender, receiver, err
	}
	receiver, err = parseReport(server.out.Bytes())
	return sender, receiver, err
}

// awaitListener looks for the server's socket in the kernel's table: to connect
// would be taken for the client.
func awaitListener(ctx context.Context, e *ends, to netip.AddrPort, server *process) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var table []byte
		err := e.to.Do(func() (err error) {
			table, err = os.ReadFile("/proc/thread-self/net/tcp")
			return err
		})
		if err != nil {
			return err
		}
		if listens(table, to) {
			return nil
		}
		select {
		case <-tick.C:
		case <-server.exited:
			if err := context.Cause(ctx); err != nil { // which ends the server too
				return fmt.Errorf("iperf3's server does not listen: %w", err)
			}
			_, err := parseReport(server.out.Bytes())
			return fmt.Errorf("iperf3's server ended at once: %w", errors.Join(server.failure(), err))
		case <-ctx.Done():
			return fmt.Errorf("iperf3's server does not listen: %w", context.Cause(ctx))
		}
	}
}

// twice tries once more what failed: one lost control connection must not end
// ten minutes of measuring.
func twice[T any](ctx context.Context, f func() (T, error)) (T, error) {
	v, err := f()
	if err != nil && ctx.Err() == nil {
		v, err = f()
	}
	return v, err
}
