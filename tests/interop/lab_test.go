package interop

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// TestLabClearsUp ends the lab after its first line, in each way that it can
// end: nothing of it stays.
func TestLabClearsUp(t *testing.T) {
	probetest.Need(t, probe.NetNS, probe.Veth, probe.AFPacket, probe.MACsec, probe.MACsecGCM, probe.BPF)
	binary, err := found()
	check(t, err)
	for _, s := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE, unix.SIGKILL} {
		t.Run(unix.SignalName(s), func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(binary, "lab", "--cipher", "gcm-aes-256")
			cmd.Env = append(os.Environ(), "TMPDIR="+dir)
			var errs syncBuilder
			cmd.Stderr = &errs
			out, err := cmd.StdoutPipe()
			check(t, err, cmd.Start())
			namespaces := filepath.Join(netns.Dir, fmt.Sprintf("ls%d.*", cmd.Process.Pid))
			t.Cleanup(func() { // what SIGKILL leaves
				list, _ := filepath.Glob(namespaces)
				for _, n := range list {
					unix.Unmount(n, unix.MNT_DETACH)
					os.Remove(n)
				}
			})
			line, err := bufio.NewReader(out).ReadString('\n')
			check(t, err)
			if !strings.Contains(line, "west and east start") {
				t.Errorf("the lab begins %q", line)
			}
			if s == unix.SIGPIPE {
				out.Close() // as head -1 does; the signal comes with the next line
			} else {
				check(t, cmd.Process.Signal(s))
			}
			if err := cmd.Wait(); err == nil {
				t.Error("the lab was broken off, and its exit status is 0")
			}
			daemons := processes(t, dir)
			if s == unix.SIGKILL { // it cannot clear up, but its daemons end
				for end := time.Now().Add(patience); len(daemons) > 0 && time.Now().Before(end); daemons = processes(t, dir) {
					time.Sleep(10 * time.Millisecond)
				}
			}
			left, err := filepath.Glob(namespaces)
			check(t, err)
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			check(t, err)
			if s == unix.SIGKILL {
				left, files = nil, nil
			}
			if len(daemons)+len(left)+len(files) > 0 {
				t.Errorf("left: daemons %v, namespaces %v, files %v; stderr: %s", daemons, left, files, errs.String())
			}
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
