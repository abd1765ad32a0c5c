package locked

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Where nothing may be locked, keys are held all the same, and that is told.
func TestLimit(t *testing.T) {
	const child = "LINKSEAL_TEST_LIMIT"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLimit$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestLimit") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{}); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		// All threads: CAP_IPC_LOCK goes with the user.
		if err := syscall.Setuid(65534); err != nil {
			t.Fatal(err)
		}
	}
	b := Alloc(32)
	b[31] = 1
	err := Check()
	if err == nil || !strings.Contains(err.Error(), "RLIMIT_MEMLOCK") {
		t.Errorf("nothing may be locked, and Check says %v", err)
	}
	Free(b)
}
