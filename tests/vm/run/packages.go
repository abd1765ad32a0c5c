package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/linkseal/linkseal/tests/vm"
	"github.com/linkseal/linkseal/tests/vm/verdict"
	"github.com/linkseal/linkseal/tests/vm/wire"
)

// probetestPath marks a package for the guest: its tests say what they need of
// the kernel.
const probetestPath = "github.com/linkseal/linkseal/linux/probe/probetest"

type pkg struct{ path, dir, binary string }

// compile builds the test binaries of the packages that match the patterns and
// belong in the guest.
func compile(ctx context.Context, dir string, patterns []string) ([]pkg, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-json=ImportPath,Dir,TestImports,XTestImports", "--"}, patterns...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w", strings.Join(patterns, " "), err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath, Dir           string
			TestImports, XTestImports []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if slices.Contains(slices.Concat(p.TestImports, p.XTestImports), probetestPath) {
			pkgs = append(pkgs, pkg{path: p.ImportPath, dir: p.Dir})
		}
	}
	if len(pkgs) == 0 {
		return nil, fmt.Errorf("no package in %s has tests that import %s", strings.Join(patterns, " "), probetestPath)
	}
	return pkgs, build(ctx, dir, pkgs)
}

// build compiles them, in as few runs of go as there are packages of one name:
// each run looks at all that they import.
func build(ctx context.Context, dir string, pkgs []pkg) error {
	var rounds [][]string // import paths
	seen := map[string]int{}
	for i := range pkgs {
		name := path.Base(pkgs[i].path)
		n := seen[name]
		seen[name]++
		if n == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[n] = append(rounds[n], pkgs[i].path)
		pkgs[i].binary = filepath.Join(dir, strconv.Itoa(n), name+".test")
	}
	for n, paths := range rounds {
		out := filepath.Join(dir, strconv.Itoa(n))
		if err := os.Mkdir(out, 0o755); err != nil {
			return err
		}
		// What a debugger needs is left out: the guest reads the rest over 9p.
		cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-c", "-ldflags=-s -w", "-o", out + "/"}, paths...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOEXPERIMENT=runtimesecret") // there is no compiler in the guest; as make has it
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("compile the tests of %s: %w", strings.Join(paths, " "), err)
		}
	}
	return nil
}

// summary adds up what the packages' tests did.
type summary struct {
	packages, failed, tests, subtests, skipped int
}

// add prints how one package ended, and what it took: by the clock, and of this
// machine's processors, which is the same however busy the machine is.
func (s *summary) add(path string, r *verdict.Reader, st wire.Status, took, processor time.Duration) {
	r.Close()
	err := judge(r, st, false)
	s.packages++
	s.tests += r.Tests
	s.subtests += r.Subtests
	s.skipped += len(r.Skipped)
	if err != nil || r.Verbose {
		os.Stdout.Write(r.Output(err != nil))
	}
	if err != nil {
		s.failed++
		fmt.Printf("FAIL\t%s\t%.3fs\t[guest: %v]\n", path, took.Seconds(), err)
		return
	}
	if r.Benchmarks > 0 && !r.Verbose {
		os.Stdout.Write(r.Output(false))
	}
	fmt.Printf("ok  \t%s\t%.3fs\t[guest: %d tests, %d subtests, %.1fs of processor]\n", path, took.Seconds(), r.Tests, r.Subtests, processor.Seconds())
	if !r.Verbose {
		for _, f := range r.Figures {
			fmt.Printf("    \t%s\n", f)
		}
	}
}

// close prints the sums and gives the exit status.
func (s *summary) close(err error) (int, error) {
	fmt.Printf("guest: %d tests and %d subtests run in %d packages, %d skipped, %d packages failed\n",
		s.tests, s.subtests, s.packages, s.skipped, s.failed)
	if err == nil && s.failed > 0 {
		err = fmt.Errorf("%d of %d packages failed", s.failed, s.packages)
	}
	if err != nil {
		fmt.Println("FAIL")
		return 1, err
	}
	fmt.Println("PASS")
	return 0, nil
}

func release(k *vm.Kernel) string { return "Linux " + filepath.Base(k.ModuleDir) }
