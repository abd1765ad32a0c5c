// Command vmrun runs tests and commands in a QEMU guest with Debian's kernel.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/tests/vm"
	"github.com/linkseal/linkseal/tests/vm/guest"
	"github.com/linkseal/linkseal/tests/vm/wire"
)

const usageText = `usage:
  go test -exec "$PWD/bin/vmrun" PACKAGE    one package's tests in the guest
  vmrun [flags] -pkgs PATTERN... [-- TESTFLAGS]
                                           all packages that match and whose tests
                                           need a kernel, in one boot
  vmrun [flags] -- COMMAND [ARGUMENTS]      any command, in this directory
  vmrun -fetch                              only bring the kernel into the cache

A run fails if a test in it skips, or if it holds no test.
flags:
`

type options struct {
	pkgs, fetch, verbose, console, steady bool
	timeout                               time.Duration
	env, preload                          list
	append                                string
	cpus, memory                          int
}

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	if os.Getpid() == 1 {
		guest.Main()
	}
	var o options
	flag.BoolVar(&o.pkgs, "pkgs", false, "the arguments are package patterns")
	flag.BoolVar(&o.fetch, "fetch", false, "fetch the kernel and stop")
	flag.BoolVar(&o.verbose, "v", false, "with -pkgs: all that the tests print")
	flag.BoolVar(&o.steady, "steady", false, "the guest's clock counts its instructions: figures do not depend on what else this machine does")
	flag.BoolVar(&o.console, "console", false, "show the kernel's console on stderr")
	flag.DurationVar(&o.timeout, "timeout", 15*time.Minute, "end the guest after this time")
	flag.Var(&o.env, "env", "pass `NAME` or NAME=VALUE into the guest; repeatable (LINKSEAL_* and NO_COLOR always pass)")
	flag.Var(&o.preload, "module", "load this `module` at boot; repeatable (most load by themselves)")
	flag.StringVar(&o.append, "append", "", "add to the kernel's command line")
	flag.IntVar(&o.cpus, "cpus", min(max(runtime.NumCPU(), 1), 4), "processors")
	flag.IntVar(&o.memory, "memory", 2048, "memory in MiB")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usageText)
		flag.PrintDefaults()
	}
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	status, err := run(ctx, &o, flag.Args(), dashed(os.Args, flag.NArg()))
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmrun:", err)
	}
	stop()
	os.Exit(status)
}

// dashed reports whether "--" stands before the last n arguments.
func dashed(args []string, n int) bool {
	return len(args) > n && args[len(args)-n-1] == "--"
}

var errTimeout = errors.New("out of time")

// run returns the exit status; an error comes with one other than 0.
func run(ctx context.Context, o *options, args []string, command bool) (int, error) {
	logf := func(format string, a ...any) { fmt.Fprintf(os.Stderr, "vmrun: "+format+"\n", a...) }
	kernel, err := vm.FindKernel(ctx, logf)
	if err != nil {
		return 1, err
	}
	if o.fetch {
		fmt.Println(kernel.Image)
		return 0, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("%w after %s (-timeout)", errTimeout, o.timeout))
	defer cancel()
	g := &vm.Guest{Kernel: kernel, CPUs: o.cpus, MemoryM: o.memory, Append: o.append, Preload: o.preload, Steady: o.steady}
	if o.console {
		g.Console = os.Stderr
	}
	switch {
	case o.pkgs:
		return runPackages(ctx, g, o, args)
	case len(args) == 0:
		flag.Usage()
		return 2, nil
	case command:
		return runCommand(ctx, g, o, args)
	case strings.HasSuffix(args[0], ".test"):
		return runBinary(ctx, g, o, args)
	}
	flag.Usage()
	return 2, fmt.Errorf("%s is no test binary; put -- before a command", args[0])
}

func runCommand(ctx context.Context, g *vm.Guest, o *options, args []string) (int, error) {
	j, err := job(o, args)
	if err != nil {
		return 1, err
	}
	g.Jobs = []wire.Job{j}
	g.Stdout = func(_ int, p []byte) { os.Stdout.Write(p) }
	g.Stderr = func(_ int, p []byte) { os.Stderr.Write(p) }
	var st wire.Status
	g.Done = func(s wire.Status) { st = s }
	if err := g.Run(ctx); err != nil {
		return 1, err
	}
	if st.Error != "" {
		return st.Code, errors.New(st.Error)
	}
	return st.Code, nil
}
