package userspace

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
)

// TestTunnelLabClearsUp ends the lab of an IPsec tunnel once it is secured, by a
// signal and by the death of a daemon: nothing of it stays, charon neither.
func TestTunnelLabClearsUp(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, lab *os.Process, dir string){
		"SIGINT":  func(t *testing.T, lab *os.Process, _ string) { check(t, lab.Signal(unix.SIGINT)) },
		"SIGTERM": func(t *testing.T, lab *os.Process, _ string) { check(t, lab.Signal(unix.SIGTERM)) },
		"a daemon is killed": func(t *testing.T, _ *os.Process, dir string) {
			for _, p := range processes(t, dir) {
				if text, err := os.ReadFile(p); err == nil && strings.Contains(string(text), "/west/") {
					pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p)))
					check(t, err, unix.Kill(pid, unix.SIGKILL))
					return
				}
			}
			t.Fatal("west has no daemon")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd := exec.Command(linkseal(t), "lab", "--tunnel", "ipsec", "--dataplane", "userspace")
			cmd.Env = append(os.Environ(), "TMPDIR="+dir)
			out, err := cmd.StdoutPipe()
			check(t, err, cmd.Start())
			lines := bufio.NewReader(out)
			for line := ""; !strings.Contains(line, "secured: IKE"); {
				if line, err = lines.ReadString('\n'); err != nil {
					t.Fatalf("the lab ends before it is secured: %v", err)
				}
			}
			end(t, cmd.Process, dir)
			io.Copy(io.Discard, lines)
			if err := cmd.Wait(); err == nil {
				t.Error("the lab was broken off, and its exit status is 0")
			}
			left, err := filepath.Glob(filepath.Join(netns.Dir, fmt.Sprintf("ls%d.*", cmd.Process.Pid)))
			check(t, err)
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			check(t, err)
			charons, err := filepath.Glob("/proc/[0-9]*/environ")
			check(t, err)
			for _, p := range charons {
				if text, err := os.ReadFile(p); err == nil && strings.Contains(string(text), "STRONGSWAN_CONF="+dir) {
					t.Errorf("a charon is left: %s", p)
				}
			}
			if daemons := processes(t, dir); len(daemons)+len(left)+len(files) > 0 {
				t.Errorf("left: daemons %v, namespaces %v, files %v", daemons, left, files)
			}
		})
	}
}
