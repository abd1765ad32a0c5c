package main

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/linkseal/linkseal/linux/netns"
)

// process is a program in a namespace. The end of its context, or of this
// program, ends it: with SIGTERM, and with SIGKILL two seconds later.
type process struct {
	cmd       *netns.Cmd
	out, errs bytes.Buffer // whole when exited is closed
	exited    chan struct{}
	err       error
}

func start(ctx context.Context, ns *netns.NS, name string, args ...string) (*process, error) {
	p := &process{cmd: ns.CommandContext(ctx, name, args...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	// A terminal's Ctrl-C is this program's to handle.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 2 * time.Second
	started := make(chan error, 1)
	go func() {
		// Pdeathsig comes when the thread that started the process ends: this
		// one stays until the process has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// wait returns when the process has ended, with an error if it failed.
func (p *process) wait() error {
	<-p.exited
	return p.failure()
}

func (p *process) failure() error {
	if p.err == nil {
		return nil
	}
	err := fmt.Errorf("%s: %w", strings.Join(p.cmd.Args, " "), p.err)
	if said := strings.TrimSpace(p.errs.String()); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// run starts a process, waits for it and returns what it wrote.
func run(ctx context.Context, ns *netns.NS, name string, args ...string) ([]byte, error) {
	p, err := start(ctx, ns, name, args...)
	if err != nil {
		return nil, err
	}
	err = p.wait()
	if ctx.Err() != nil {
		err = fmt.Errorf("%s: %w", strings.Join(p.cmd.Args, " "), context.Cause(ctx))
	}
	return p.out.Bytes(), err
}
