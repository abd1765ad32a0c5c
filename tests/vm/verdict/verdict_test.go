package verdict

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a real binary prints with -test.v=test2json -test.bench=., ^V as ~.
const sample = `~=== RUN   TestA
no newline~=== RUN   TestA/s
    a_test.go:3: reason here
~--- SKIP: TestA/s (0.00s)
~=== NAME  TestA
    a_test.go:3: hey
~--- PASS: TestA (0.00s)
~=== NAME  
~=== RUN   TestN
--- SKIP: TestFake (0.0s)
--- FAIL: TestFake (0.0s)
~--- PASS: TestN (0.00s)
~=== NAME  
goos: linux
~=== RUN   BenchmarkX
BenchmarkX
BenchmarkX-2   	 1000000	         1.002 ns/op
figure: 3 of 4 lost
not a figure: 5
~PASS
`

func read(text string, chunk int) *Reader {
	r := new(Reader)
	b := []byte(strings.ReplaceAll(text, "~", string(marker)))
	for len(b) > 0 {
		n := min(chunk, len(b))
		r.Write(b[:n])
		b = b[n:]
	}
	r.Close()
	return r
}

func TestReader(t *testing.T) {
	for _, chunk := range []int{1, 7, len(sample)} {
		r := read(sample, chunk)
		if r.Tests != 2 || r.Subtests != 0 || r.Benchmarks != 1 || len(r.Failed) != 0 {
			t.Errorf("chunk %d: %d tests, %d subtests, %d benchmarks, failed %q", chunk, r.Tests, r.Subtests, r.Benchmarks, r.Failed)
		}
		if diff := cmp.Diff([]string{"TestA/s: a_test.go:3: reason here"}, r.Skipped); diff != "" {
			t.Errorf("chunk %d: skipped (-want +got):\n%s", chunk, diff)
		}
		if diff := cmp.Diff([]string{"3 of 4 lost"}, r.Figures); diff != "" {
			t.Errorf("chunk %d: figures (-want +got):\n%s", chunk, diff)
		}
		if diff := cmp.Diff("goos: linux\nBenchmarkX-2   \t 1000000\t         1.002 ns/op\nPASS\n", string(r.Output(false))); diff != "" {
			t.Errorf("chunk %d: quiet output (-want +got):\n%s", chunk, diff)
		}
		want := strings.ReplaceAll(strings.ReplaceAll(sample, "~=== NAME  \n", ""), "~", "")
		if diff := cmp.Diff(want, string(r.Output(true))); diff != "" {
			t.Errorf("chunk %d: full output (-want +got):\n%s", chunk, diff)
		}
	}
}

func TestErr(t *testing.T) {
	for _, c := range []struct {
		name, in string
		status   int
		want     string // "" is a pass
	}{
		{"pass", "~=== RUN   TestA\n~--- PASS: TestA (0.00s)\n~PASS\n", 0, ""},
		{"benchmarks only", "BenchmarkX-2 1 2 ns/op\n~PASS\n", 0, ""},
		{"fail", "~--- FAIL: TestA (0.00s)\n~FAIL\n", 1, "1 failed: TestA"},
		{"fail with status 0", "~--- FAIL: TestA (0.00s)\n", 0, "1 failed: TestA"},
		{"panic", "~=== RUN   TestA\npanic: no\n", 2, "exit status 2"},
		{"skip", "    a_test.go:1: why\n~--- SKIP: TestA (0.00s)\n~PASS\n", 0, "1 skipped, which the guest never allows: TestA: a_test.go:1: why"},
		{"one of many skips", "~--- PASS: TestB (0.00s)\nwhy\n~    --- SKIP: TestA/x (0.00s)\n~PASS\n", 0, "1 skipped, which the guest never allows: TestA/x: why"},
		{"nothing", "testing: warning: no tests to run\n~PASS\n", 0, "no test ran"},
	} {
		err := read(c.in, 1000).Err(c.status)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q; want %q", c.name, got, c.want)
		}
	}
}
