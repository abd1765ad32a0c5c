// Package trial checks a configuration before it is installed, with the program
// that will run it: in a mount namespace in which the staged directory is
// /etc/linkseal, so that every path and every message is what it will be.
package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// longest is how long a check may take: it tries the kernel's features. Units
	// give provisioning three minutes.
	longest = 150 * time.Second
	// most is what is read of its output.
	most = 64 << 10
)

// Check runs `program check --config place/NAME` where place has what dir has,
// and returns what is wrong, a line each; none if all is well.
func Check(ctx context.Context, program, dir, place, name string) (wrong []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	var out limited
	c := exec.CommandContext(ctx, program, "check", "--config", filepath.Join(place, name))
	c.Stdout, c.Stderr = &out, &out
	c.WaitDelay = time.Second
	c.Env = []string{"PATH=" + os.Getenv("PATH")}
	if err := start(c, dir, place); err != nil {
		return nil, err
	}
	err = c.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("the check did not end within %s", longest)
	case !errors.As(err, &exit) || exit.ExitCode() != 1:
		return out.lines(), fmt.Errorf("linkseal check: %w", err)
	}
	if wrong = out.lines(); len(wrong) == 0 {
		return nil, errors.New("linkseal check refused it and said nothing")
	}
	return wrong, nil
}

// start starts c in a mount namespace in which dir is at place. The thread that
// has entered it is used for nothing else, and ends with its goroutine.
func start(c *exec.Cmd, dir, place string) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				return fmt.Errorf("a mount namespace for the check: %w", err)
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return fmt.Errorf("a mount namespace for the check: %w", err)
			}
			if err := unix.Mount(dir, place, "", unix.MS_BIND, ""); err != nil {
				return fmt.Errorf("mount %s on %s for the check: %w", dir, place, err)
			}
			return c.Start()
		}()
	}()
	return <-done
}

// limited keeps the beginning of what is written.
type limited struct{ kept []byte }

func (l *limited) Write(p []byte) (int, error) {
	l.kept = append(l.kept, p[:min(len(p), max(0, most-len(l.kept)))]...)
	return len(p), nil
}

// lines are the problems, without the lines of the file that check shows
// beneath each.
func (l *limited) lines() (out []string) {
	for line := range strings.Lines(string(l.kept)) {
		if line = strings.TrimRight(line, "\n"); line != "" && line[0] != ' ' {
			out = append(out, line)
		}
	}
	return out
}
