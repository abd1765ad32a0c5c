package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// untilSignal is c's context until SIGINT, SIGTERM or one of more, for verbs
// that have something to end. All others die of a signal as any program does.
// stop gives the signals back.
func untilSignal(c *cobra.Command, more ...os.Signal) (ctx context.Context, stop func()) {
	return signal.NotifyContext(c.Context(), append([]os.Signal{os.Interrupt, unix.SIGTERM}, more...)...)
}

// onlyFirst gives the signals back after the first: what is slow to end then
// ends at the second.
func onlyFirst(ctx context.Context, stop func()) (context.Context, func()) {
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// survivePipes has a write to a pipe that nobody reads fail with EPIPE, which
// on standard output and standard error ends a Go program otherwise.
func survivePipes() (stop func()) {
	// Nobody receives: it is enough to be notified. Unlike Ignore, that is
	// not handed on to child processes.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, unix.SIGPIPE)
	return func() { signal.Stop(pipe) }
}
