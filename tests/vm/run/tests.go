package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/tests/vm"
	"github.com/linkseal/linkseal/tests/vm/verdict"
	"github.com/linkseal/linkseal/tests/vm/wire"
)

// jsonMode is the value of -test.v that go test -json asks for.
const jsonMode = "test2json"

// testArgs turns what go test passes into what the guest's binary gets, and
// tells how much of the output was asked for.
func testArgs(args []string) (out []string, verbose, marked bool) {
	for _, a := range args {
		name, value, has := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch name {
		case "test.v":
			marked = value == jsonMode
			verbose = !has || value == "true" || value == "1"
		case "test.testlogfile":
			// For go test's cache, which must not hold what a guest said.
		default:
			out = append(out, a)
		}
	}
	return append(out, "-test.v="+jsonMode), verbose, marked
}

// runBinary is vmrun as go test -exec starts it.
func runBinary(ctx context.Context, g *vm.Guest, o *options, args []string) (int, error) {
	rest, verbose, marked := testArgs(args[1:])
	j, err := job(o, append([]string{args[0]}, rest...))
	if err != nil {
		return 1, err
	}
	g.Jobs = []wire.Job{j}
	r := &verdict.Reader{Verbose: verbose}
	sink := io.Writer(r)
	if marked {
		sink = io.MultiWriter(os.Stdout, r)
	}
	g.Stdout = func(_ int, p []byte) { sink.Write(p) }
	g.Stderr = func(_ int, p []byte) { os.Stderr.Write(p) }
	var st wire.Status
	g.Done = func(s wire.Status) { st = s }
	err = g.Run(ctx)
	r.Close()
	if err == nil {
		err = judge(r, st, slices.ContainsFunc(rest, func(a string) bool { return strings.HasPrefix(a, "-test.list") }))
	}
	if !marked {
		os.Stdout.Write(r.Output(err != nil))
	}
	if err != nil {
		return max(st.Code, 1), err
	}
	return 0, nil
}

func judge(r *verdict.Reader, st wire.Status, list bool) error {
	if st.Error != "" {
		return fmt.Errorf("%s", st.Error)
	}
	if list && st.Code == 0 {
		return nil
	}
	return r.Err(st.Code)
}

// runPackages runs the tests of many packages in one boot and prints a line
// for each as go test does, then the sums.
func runPackages(ctx context.Context, g *vm.Guest, o *options, args []string) (int, error) {
	var flags []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, flags = args[:i], args[i+1:]
	}
	dir, err := os.MkdirTemp("", "linkseal-tests-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	pkgs, err := compile(ctx, dir, args)
	if err != nil {
		return 1, err
	}
	rest, _, _ := testArgs(flags)
	readers := make([]*verdict.Reader, len(pkgs))
	for i, p := range pkgs {
		readers[i] = &verdict.Reader{Verbose: o.verbose}
		g.Jobs = append(g.Jobs, wire.Job{
			Args: append([]string{p.binary}, rest...), Dir: p.dir, Env: environment(o),
		})
	}
	sum, began, spent := summary{}, time.Now(), time.Duration(0)
	g.Ready = func(boot time.Duration) {
		spent = g.Processor()
		fmt.Printf("guest: %s up in %.1fs, %.1fs of processor\n", release(g.Kernel), boot.Seconds(), spent.Seconds())
		began = time.Now()
	}
	g.Stdout = func(n int, p []byte) { readers[n].Write(p) }
	g.Stderr = g.Stdout
	next := 0
	g.Done = func(st wire.Status) {
		all := g.Processor()
		sum.add(pkgs[next].path, readers[next], st, time.Since(began), all-spent)
		next, began, spent = next+1, time.Now(), all
	}
	err = g.Run(ctx)
	if err != nil && next < len(pkgs) {
		readers[next].Close()
		os.Stdout.Write(readers[next].Output(true))
		err = fmt.Errorf("%s: %w", pkgs[next].path, err)
	}
	return sum.close(err)
}
