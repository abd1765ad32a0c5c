// Command count runs the go test -json given as its arguments, prints what go
// test prints without -json and what tests print after "figure: ", and closes
// with the numbers of tests run and skipped, and why they skipped. With -all a test
// that skipped is one that failed.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// event is one line of go test -json; see go doc test2json, and for the build
// events go help buildjson.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// count follows the events of one go test.
type count struct {
	out      io.Writer
	packages int
	failed   []string // packages and tests
	tests    int
	subtests int
	skips    map[string][]string // reason to tests
	text     map[string][]string // output of the tests that have not ended
	figures  map[string][]string // by package: what its tests measured
}

func main() {
	args := os.Args[1:]
	all := len(args) > 0 && args[0] == "-all"
	if all {
		args = args[1:]
	}
	if len(args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: count [-all] go test -json [ARGUMENTS]")
		os.Exit(2)
	}
	if err := command(args, all, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "count:", err)
		os.Exit(1)
	}
}

// command runs args. Its own exit status counts as much as what it reports.
func command(args []string, all bool, out io.Writer) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ok, err := run(pipe, all, out)
	if waited := cmd.Wait(); waited != nil {
		return fmt.Errorf("%s: %w", args[0], waited)
	}
	if err == nil && !ok {
		err = errors.New("no test ran, or one failed")
		if all {
			err = errors.New("no test ran, or one failed or skipped")
		}
	}
	return err
}

// run reports whether all passed. No event at all is not a pass; with all, a skip is
// none either.
func run(in io.Reader, all bool, out io.Writer) (bool, error) {
	c := &count{out: out, skips: map[string][]string{}, text: map[string][]string{}, figures: map[string][]string{}}
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				out.Write(line) // go's own words, such as a build error
			} else {
				c.take(e)
			}
		}
		if err == io.EOF {
			return c.close() && (!all || len(c.skips) == 0), nil
		}
		if err != nil {
			return false, err
		}
	}
}

func (c *count) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(c.out, e.Output)
	case "build-fail":
		c.failed = append(c.failed, e.ImportPath+" (build)")
	case "output":
		if figure, ok := strings.CutPrefix(e.Output, "figure: "); ok {
			c.figures[e.Package] = append(c.figures[e.Package], figure)
		}
		if e.Test != "" {
			c.text[key] = append(c.text[key], e.Output)
		} else if shown(e.Output) {
			fmt.Fprint(c.out, e.Output)
		}
	case "pass", "fail", "skip":
		c.end(e, key)
		delete(c.text, key)
	}
}

// shown leaves out of a package's own lines what go test prints with -v only.
func shown(line string) bool {
	return line != "PASS\n" && line != "FAIL\n" && !strings.Contains(line, "[no test files]")
}

func (c *count) end(e event, key string) {
	if e.Test == "" {
		if e.Action != "skip" { // a package without tests
			c.packages++
		}
		if e.Action == "fail" {
			c.failed = append(c.failed, e.Package)
			c.unended(e.Package)
		}
		for _, f := range c.figures[e.Package] {
			fmt.Fprintf(c.out, "    \t%s", f)
		}
		return
	}
	switch e.Action {
	case "skip":
		reason := reason(c.text[key])
		c.skips[reason] = append(c.skips[reason], e.Package[strings.LastIndex(e.Package, "/")+1:]+"."+e.Test)
		return
	case "fail":
		c.failed = append(c.failed, key)
		fmt.Fprint(c.out, strings.Join(c.text[key], ""))
	}
	if strings.Contains(e.Test, "/") {
		c.subtests++
	} else {
		c.tests++
	}
}

// unended shows the tests that a package took with it: one that hung till the end of
// its time, or crashed the program, has no event of its own.
func (c *count) unended(pkg string) {
	for _, key := range slices.Sorted(maps.Keys(c.text)) {
		if strings.HasPrefix(key, pkg+" ") {
			c.failed = append(c.failed, key+" (not ended)")
			fmt.Fprint(c.out, strings.Join(c.text[key], ""))
			delete(c.text, key)
		}
	}
}

// place is where a log line was written.
var place = regexp.MustCompile(`^\S+\.go:\d+: `)

// reason is the last thing that a skipped test logged, which may have several lines.
func reason(lines []string) string {
	var last []string
	for _, l := range lines {
		if place.MatchString(strings.TrimSpace(l)) {
			last = nil
		}
		l = place.ReplaceAllString(strings.TrimSpace(l), "")
		if l != "" && !strings.HasPrefix(l, "--- ") && !strings.HasPrefix(l, "=== ") {
			last = append(last, l)
		}
	}
	if len(last) == 0 {
		return "no reason given"
	}
	return strings.Join(last, "; ")
}

func (c *count) close() bool {
	skipped := 0
	for _, names := range c.skips {
		skipped += len(names)
	}
	fmt.Fprintf(c.out, "host: %d tests and %d subtests run in %d packages, %d skipped, %d failed\n",
		c.tests, c.subtests, c.packages, skipped, len(c.failed))
	reasons := slices.SortedFunc(maps.Keys(c.skips), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(c.skips[b]), len(c.skips[a])), strings.Compare(a, b))
	})
	for _, r := range reasons {
		fmt.Fprintf(c.out, "  %d skipped: %s\n", len(c.skips[r]), r)
	}
	for _, f := range c.failed {
		fmt.Fprintf(c.out, "  failed: %s\n", f)
	}
	return len(c.failed) == 0 && c.packages > 0
}
