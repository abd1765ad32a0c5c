// Package verdict reads what a test binary prints under -test.v=test2json and
// judges it: what ran, what skipped, what to show. In that mode the testing
// package puts a ^V before each of its own lines, so that nothing a test
// prints can be taken for one of them.
package verdict

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// marker precedes the testing package's own lines.
const marker = '\x16'

// Reader consumes the output of one test binary.
type Reader struct {
	// Verbose keeps the lines that -test.v brings.
	Verbose bool

	Tests      int      // top-level tests, examples and fuzz seeds that ran
	Subtests   int      // tests within them
	Benchmarks int      // results of benchmarks
	Skipped    []string // names, with the reason when one was printed
	Failed     []string
	Figures    []string // lines that begin with "figure: ", without it

	line   []byte
	last   string // the line before, for a skip's reason
	out    bytes.Buffer
	result []byte // what a run without -v prints when all is well
}

// Write takes output as it comes. It never fails.
func (r *Reader) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			r.line = append(r.line, p...)
			break
		}
		r.line = append(r.line, p[:i+1]...)
		r.take(r.line)
		r.line = r.line[:0]
		p = p[i+1:]
	}
	return n, nil
}

// Close takes the last line, should it have no newline.
func (r *Reader) Close() {
	if len(r.line) > 0 {
		r.take(r.line)
		r.line = nil
	}
}

func (r *Reader) take(line []byte) {
	// A test that prints without a newline leaves its text before the mark.
	before, own, marked := bytes.Cut(line, []byte{marker})
	if !marked {
		r.plain(line)
		return
	}
	if len(before) > 0 {
		r.plain(before)
	}
	r.own(own)
}

// plain notes a line without a mark: what tests print and log, and benchmarks,
// which the testing package does not mark.
func (r *Reader) plain(line []byte) {
	text := string(line)
	switch {
	case strings.HasPrefix(text, "Benchmark") && strings.Contains(text, "/op"):
		r.Benchmarks++
		r.result = append(r.result, line...)
	case hasAnyPrefix(text, "goos: ", "goarch: ", "pkg: ", "cpu: ", "coverage: "):
		r.result = append(r.result, line...)
	}
	if figure, ok := strings.CutPrefix(text, "figure: "); ok {
		r.Figures = append(r.Figures, strings.TrimSpace(figure))
	}
	r.out.Write(line)
	if strings.TrimSpace(text) != "" {
		r.last = strings.TrimSpace(text)
	}
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

// own reads a line of the testing package's.
func (r *Reader) own(line []byte) {
	trimmed := strings.TrimSpace(string(line))
	if trimmed == "=== NAME" {
		return // ends a test's output; for test2json alone
	}
	r.out.Write(line)
	if trimmed == "PASS" {
		r.result = append(r.result, line...)
	}
	kind, rest, ok := strings.Cut(trimmed, ": ")
	if !ok {
		return
	}
	name, _, _ := strings.Cut(rest, " (")
	switch kind {
	case "--- PASS":
		r.count(name)
	case "--- FAIL":
		r.count(name)
		r.Failed = append(r.Failed, name)
	case "--- SKIP":
		r.Skipped = append(r.Skipped, fmt.Sprintf("%s: %s", name, r.last))
	}
}

func (r *Reader) count(name string) {
	if strings.Contains(name, "/") {
		r.Subtests++
	} else {
		r.Tests++
	}
}

// Err judges a run that ended with the exit status given; nil is a pass.
func (r *Reader) Err(status int) error {
	switch {
	case len(r.Failed) > 0:
		return fmt.Errorf("%d failed: %s", len(r.Failed), strings.Join(r.Failed, ", "))
	case status != 0:
		return fmt.Errorf("exit status %d", status)
	case len(r.Skipped) > 0:
		return fmt.Errorf("%d skipped, which the guest never allows: %s", len(r.Skipped), strings.Join(r.Skipped, "; "))
	case r.Tests == 0 && r.Benchmarks == 0:
		return fmt.Errorf("no test ran")
	}
	return nil
}

// Output is what to show: everything if verbose or if the run was bad, else
// what go test shows without -v.
func (r *Reader) Output(bad bool) []byte {
	if bad || r.Verbose {
		return r.out.Bytes()
	}
	return r.result
}
