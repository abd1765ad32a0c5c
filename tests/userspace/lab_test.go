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
	link := []string{"secured: SAK", "the old SAs are gone", "lost 0", " 0 in clear", "are removed"}
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"userspace": {[]string{"--dataplane", "userspace"}, link},
		"auto":      {nil, link},
		"wireguard": {[]string{"--tunnel", "wireguard", "--dataplane", "userspace"},
			[]string{"it is in user space", "secured: ChaCha20-Poly1305", "both ends are secured under PSK", "0 lost", "lost 0", " 0 in clear", "are removed"}},
		"ipsec": {[]string{"--tunnel", "ipsec", "--dataplane", "userspace"},
			[]string{"it is in user space", "secured: IKE ", "both ends are secured under PSK", "0 lost", "lost 0", " 0 in clear", "are removed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playLab(t, c.args, c.want)
		})
	}
}

func playLab(t *testing.T, args, want []string) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, linkseal(t), append([]string{"lab"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start)
	if err != nil {
		t.Fatalf("linkseal lab %v: %v\n%s", args, err, out)
	}
	for _, want := range want {
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
	figure(t, "linkseal lab %s: %v", strings.Join(args, " "), took.Round(100*time.Millisecond))
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
