package userspace

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/linux/netns"
)

// TestLab plays the lab verb, as a user would, and demands that nothing of it
// stays.
func TestLab(t *testing.T) {
	t.Parallel()
	path := linkseal(t)
	for _, dataplane := range []string{"userspace", "auto"} {
		t.Run(dataplane, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, path, "lab", "--dataplane", dataplane)
			cmd.Env = append(os.Environ(), "TMPDIR="+dir)
			start := time.Now()
			out, err := cmd.CombinedOutput()
			took := time.Since(start)
			if err != nil {
				t.Fatalf("linkseal lab --dataplane %s: %v\n%s", dataplane, err, out)
			}
			for _, want := range []string{"secured: SAK", "the old SAs are gone", "lost 0", " 0 in clear", "are removed"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("the lab does not tell %q:\n%s", want, out)
				}
			}
			left, err := filepath.Glob(filepath.Join(netns.Dir, fmt.Sprintf("ls%d.*", cmd.Process.Pid)))
			check(t, err)
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			check(t, err)
			if daemons := processes(t, dir); len(daemons)+len(left)+len(files) > 0 {
				t.Errorf("left: daemons %v, namespaces %v, files %v", daemons, left, files)
			}
			figure(t, "linkseal lab --dataplane %s: %v", dataplane, took.Round(100*time.Millisecond))
		})
	}
}

// processes are those that were started with word in their command line.
func processes(t *testing.T, word string) (list []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	check(t, err)
	for _, p := range all {
		if text, err := os.ReadFile(p); err == nil && strings.Contains(string(text), word) {
			list = append(list, p)
		}
	}
	return list
}
