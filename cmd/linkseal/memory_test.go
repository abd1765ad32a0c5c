package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoCore: a daemon that dies of a signal that dumps leaves no core, where a
// process that hides nothing leaves one.
func TestNoCore(t *testing.T) {
	const child = "LINKSEAL_TEST_CORE"
	if how := os.Getenv(child); how != "" {
		if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}); err != nil && how == "shown" {
			os.Exit(3)
		}
		if how == "hidden" {
			if err := hideMemory(); err != nil {
				t.Fatal(err)
			}
			if d, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); d != 0 || err != nil {
				t.Fatalf("dumpable: %d, %v", d, err)
			}
		}
		panic("with GOTRACEBACK=crash this ends with SIGABRT")
	}
	dumps := func(how string) (bool, syscall.WaitStatus) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNoCore$")
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), child+"="+how, "GOTRACEBACK=crash")
		if err := cmd.Run(); err == nil {
			t.Fatalf("%s: it did not die", how)
		}
		st := cmd.ProcessState.Sys().(syscall.WaitStatus)
		return st.CoreDump(), st
	}
	if core, st := dumps("hidden"); core || !st.Signaled() || st.Signal() != syscall.SIGABRT {
		t.Errorf("a core was dumped: %v; it ended by %v", core, st.Signal())
	}
	if core, st := dumps("shown"); !core {
		t.Logf("nobody leaves a core on this machine, whatever it hides (ended by %v)", st.Signal())
	}
}
