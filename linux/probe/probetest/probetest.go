// Package probetest lets a test name what it needs of the kernel.
package probetest

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/linkseal/linkseal/linux/probe"
)

// GuestEnv is "1" inside the guest of tests/vm, where nothing may be skipped.
const GuestEnv = "LINKSEAL_GUEST"

// InGuest reports whether the test runs inside the guest of tests/vm.
func InGuest() bool { return os.Getenv(GuestEnv) == "1" }

// Need skips the test, with the reason, where the machine lacks one of the
// features. It fails the test instead inside the guest, which has what the
// tests need, and on a kernel that must have the feature.
func Need(t testing.TB, features ...probe.Feature) {
	t.Helper()
	for _, f := range features {
		res := check(f)
		switch {
		case res.OK:
		case InGuest():
			t.Fatalf("the guest lacks %s: %s; %s", f, res.Detail, res.Remedy)
		case f.Unexpected():
			t.Fatalf("this kernel is new enough for %s (since %s), yet: %s", f, f.Since(), res.Detail)
		default:
			t.Skipf("needs %s: %s; %s", f, res.Detail, res.Remedy)
		}
	}
}

// NeedTool is Need for programs that are looked up in PATH.
func NeedTool(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := exec.LookPath(name)
		switch {
		case err == nil:
		case InGuest():
			t.Fatalf("the guest lacks %s: %v; run make deps on the host", name, err)
		default:
			t.Skipf("needs %s: %v; run make deps", name, strings.TrimPrefix(err.Error(), "exec: "))
		}
	}
}

var results sync.Map // probe.Feature -> func() probe.Result

// check tries a feature once a process: the machine does not change under a
// test.
func check(f probe.Feature) probe.Result {
	once, _ := results.LoadOrStore(f, sync.OnceValue(f.Check))
	return once.(func() probe.Result)()
}
