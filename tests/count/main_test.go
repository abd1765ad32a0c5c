package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		ok             bool
	}{
		{
			name: "pass and skip",
			in: `{"Action":"run","Package":"x/p","Test":"TestA"}
{"Action":"output","Package":"x/p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"x/p","Test":"TestA","Output":"figure: 3 of 4\n"}
{"Action":"pass","Package":"x/p","Test":"TestA/s"}
{"Action":"pass","Package":"x/p","Test":"TestA"}
{"Action":"output","Package":"x/p","Test":"TestB","Output":"    b_test.go:3: needs MACsec: none\n"}
{"Action":"output","Package":"x/p","Test":"TestB","Output":"        no such device\n"}
{"Action":"output","Package":"x/p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"x/p","Test":"TestB"}
{"Action":"output","Package":"x/p","Output":"PASS\n"}
{"Action":"output","Package":"x/p","Output":"ok  \tx/p\t0.01s\n"}
{"Action":"pass","Package":"x/p"}
{"Action":"output","Package":"x/q","Output":"?   \tx/q\t[no test files]\n"}
{"Action":"skip","Package":"x/q"}
`,
			want: "ok  \tx/p\t0.01s\n    \t3 of 4\nhost: 1 tests and 1 subtests run in 1 packages, 1 skipped, 0 failed\n" +
				"  1 skipped: needs MACsec: none; no such device\n",
			ok: true,
		},
		{
			name: "fail",
			in: `{"Action":"output","Package":"x/p","Test":"TestA","Output":"    a_test.go:1: bad\n"}
{"Action":"fail","Package":"x/p","Test":"TestA"}
{"Action":"output","Package":"x/p","Output":"FAIL\tx/p\t0.01s\n"}
{"Action":"fail","Package":"x/p"}
`,
			want: "    a_test.go:1: bad\nFAIL\tx/p\t0.01s\nhost: 1 tests and 0 subtests run in 1 packages, 0 skipped, 2 failed\n" +
				"  failed: x/p TestA\n  failed: x/p\n",
		},
		{
			name: "out of time",
			in: `{"Action":"output","Package":"x/p","Test":"TestA","Output":"panic: test timed out\n"}
{"Action":"output","Package":"x/pq","Test":"TestB","Output":"another's\n"}
{"Action":"output","Package":"x/p","Output":"FAIL\tx/p\t0.01s\n"}
{"Action":"fail","Package":"x/p"}
`,
			want: "FAIL\tx/p\t0.01s\npanic: test timed out\nhost: 0 tests and 0 subtests run in 1 packages, 0 skipped, 2 failed\n" +
				"  failed: x/p\n  failed: x/p TestA (not ended)\n",
		},
		{
			name: "build failure",
			in: `{"ImportPath":"x/p","Action":"build-output","Output":"p.go:1: no\n"}
{"ImportPath":"x/p","Action":"build-fail"}
`,
			want: "p.go:1: no\nhost: 0 tests and 0 subtests run in 0 packages, 0 skipped, 1 failed\n  failed: x/p (build)\n",
		},
		{
			name: "go says no",
			in:   "pattern ./nosuch: no such directory\n",
			want: "pattern ./nosuch: no such directory\nhost: 0 tests and 0 subtests run in 0 packages, 0 skipped, 0 failed\n",
		},
	} {
		var out strings.Builder
		ok, err := run(strings.NewReader(c.in), false, &out)
		if err != nil || ok != c.ok {
			t.Errorf("%s: ok %v, %v; want %v", c.name, ok, err, c.ok)
		}
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestCommand(t *testing.T) {
	const pass = `{"Action":"pass","Package":"x/p"}`
	for _, c := range []struct {
		name, script string
		ok           bool
	}{
		{"pass", "echo '" + pass + "'", true},
		{"its own status", "echo '" + pass + "'; exit 1", false},
		{"no events", "true", false},
	} {
		var out strings.Builder
		if err := command([]string{"sh", "-c", c.script}, false, &out); (err == nil) != c.ok {
			t.Errorf("%s: %v\n%s", c.name, err, out.String())
		}
	}
}

// With -all a skip is no pass, and a package without tests is no skip.
func TestAll(t *testing.T) {
	const passes = `{"Action":"pass","Package":"x/p","Test":"TestA"}
{"Action":"pass","Package":"x/p"}
{"Action":"skip","Package":"x/q"}
`
	for in, want := range map[string]bool{
		passes: true,
		passes + `{"Action":"skip","Package":"x/p","Test":"TestB"}` + "\n": false,
	} {
		if ok, err := run(strings.NewReader(in), true, new(strings.Builder)); err != nil || ok != want {
			t.Errorf("%s: %v, %v; want %v", in, ok, err, want)
		}
	}
}
