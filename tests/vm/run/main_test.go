package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/tests/vm/verdict"
	"github.com/linkseal/linkseal/tests/vm/wire"
)

func TestTestArgs(t *testing.T) {
	for _, c := range []struct {
		in              string
		want            string
		verbose, marked bool
	}{
		{"-test.paniconexit0 -test.timeout=10m0s", "-test.paniconexit0 -test.timeout=10m0s -test.v=test2json", false, false},
		{"-test.v=true -test.run=X", "-test.run=X -test.v=test2json", true, false},
		{"-test.v", "-test.v=test2json", true, false},
		{"-test.v=false", "-test.v=test2json", false, false},
		{"-test.v=test2json", "-test.v=test2json", false, true},
		{"-test.testlogfile=/tmp/x/testlog.txt -own=1", "-own=1 -test.v=test2json", false, false},
	} {
		got, verbose, marked := testArgs(strings.Fields(c.in))
		if strings.Join(got, " ") != c.want || verbose != c.verbose || marked != c.marked {
			t.Errorf("%s: %q, verbose %v, marked %v; want %q, %v, %v", c.in, got, verbose, marked, c.want, c.verbose, c.marked)
		}
	}
}

func TestDashed(t *testing.T) {
	for _, c := range []struct {
		args string
		n    int
		want bool
	}{
		{"vmrun -- ls", 1, true},
		{"vmrun -timeout 1m -- ls -l", 2, true},
		{"vmrun x.test -test.v", 2, false},
		{"vmrun", 0, false},
	} {
		if got := dashed(strings.Fields(c.args), c.n); got != c.want {
			t.Errorf("%s: %v", c.args, got)
		}
	}
}

func TestJob(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("LINKSEAL_SOAK", "1")
	t.Setenv("SECRET_OF_THE_HOST", "x")
	t.Setenv("TERM", "dumb")
	if err := os.WriteFile("tool", []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	j, err := job(&options{env: list{"TERM", "A=b", "NOT_SET_ANYWHERE"}}, []string{"./tool", "-x"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{filepath.Join(dir, "tool"), "-x"}, j.Args); diff != "" || j.Dir != dir {
		t.Errorf("dir %s, arguments (-want +got):\n%s", j.Dir, diff)
	}
	for _, want := range []string{"LINKSEAL_GUEST=1", "LINKSEAL_SOAK=1", "TERM=dumb", "A=b"} {
		if !slices.Contains(j.Env, want) {
			t.Errorf("no %s in %q", want, j.Env)
		}
	}
	if all := strings.Join(j.Env, " "); strings.Contains(all, "SECRET") || strings.Contains(all, "NOT_SET") {
		t.Errorf("the host's environment leaks: %q", j.Env)
	}
	if _, err := job(&options{}, []string{"./nosuch"}); err == nil {
		t.Error("a program that is not there passes")
	}
}

func TestJudge(t *testing.T) {
	none := &verdict.Reader{}
	for _, c := range []struct {
		name string
		st   wire.Status
		list bool
		ok   bool
	}{
		{"nothing ran", wire.Status{}, false, false},
		{"-test.list", wire.Status{}, true, true},
		{"-test.list fails", wire.Status{Code: 1}, true, false},
		{"not started", wire.Status{Code: 127, Error: "no such file"}, true, false},
	} {
		if err := judge(none, c.st, c.list); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Packages of one name have a directory each.
func TestBuild(t *testing.T) {
	const of = "github.com/linkseal/linkseal/tests/vm/"
	dir := t.TempDir()
	pkgs := []pkg{{path: of + "wire"}, {path: of + "verdict"}, {path: of + "wire"}}
	if err := build(t.Context(), dir, pkgs); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"0/wire.test", "0/verdict.test", "1/wire.test"} {
		if want = filepath.Join(dir, want); pkgs[i].binary != want {
			t.Errorf("%s is in %s, want %s", pkgs[i].path, pkgs[i].binary, want)
		}
		if st, err := os.Stat(pkgs[i].binary); err != nil || st.Mode()&0o100 == 0 {
			t.Errorf("%s: %v", pkgs[i].binary, err)
		}
	}
	if err := build(t.Context(), t.TempDir(), []pkg{{path: of + "nosuch"}}); err == nil {
		t.Error("a package that is not there is built")
	}
}
