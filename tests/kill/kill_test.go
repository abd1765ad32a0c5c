package kill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/linkseal/linkseal/tests/built"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// soak tells whether every step is the last once.
func soak() bool { return os.Getenv("LINKSEAL_SOAK") == "1" }

func figure(format string, args ...any) { fmt.Printf("figure: %s\n", fmt.Sprintf(format, args...)) }

func linkseal(t *testing.T) string {
	t.Helper()
	path, err := built.Linkseal()
	check(t, err)
	return path
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// ran is what became of a process.
type ran struct {
	out, errs string
	exit      int // -1: killed
}

func (r ran) String() string { return fmt.Sprintf("exit status %d\n%s%s", r.exit, r.out, r.errs) }

// run runs a command line to its end. started, if not nil, is told its process
// id.
func run(t *testing.T, env, argv []string, started chan<- int) (r ran) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, append(os.Environ(), env...)
	check(t, cmd.Start())
	if started != nil {
		started <- cmd.Process.Pid
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%q has not ended: %v\n%s", argv, ctx.Err(), errs.String())
	case errors.As(err, &exit):
		if s := exit.Sys().(syscall.WaitStatus); s.Signaled() && s.Signal() != syscall.SIGKILL {
			t.Fatalf("%q: %v\n%s", argv, s.Signal(), errs.String())
		}
	case err != nil:
		t.Fatal(err)
	}
	return ran{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// spread is whether step n is one of those that are taken when not all are: the
// first, and each period after it.
func spread(n, period int) bool { return soak() || n%period == 1 }
