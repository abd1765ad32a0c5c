package ipsec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
	"github.com/linkseal/linkseal/linux/durable"
	"github.com/linkseal/linkseal/linux/netns"
)

// programs are where charon may be, Debian's first.
var programs = []string{"/usr/sbin/charon-systemd", "/usr/libexec/ipsec/charon", "/usr/lib/ipsec/charon"}

// ErrNoCharon says that strongSwan is not installed.
var ErrNoCharon = errors.New("there is no charon on this machine; install charon-systemd, libstrongswan-standard-plugins and libcharon-extra-plugins")

// Program is charon's path.
func Program() (string, error) {
	for _, p := range programs {
		if i, err := os.Stat(p); err == nil && i.Mode().IsRegular() {
			return p, nil
		}
	}
	return "", ErrNoCharon
}

// process is a charon that runs, started by us or by a linkseal before us.
type process struct {
	*strongswan.Client
	pidfd *os.File
	pid   int
}

const (
	startPatience = 15 * time.Second // from exec to vici
	endPatience   = 5 * time.Second  // from SIGTERM to SIGKILL
)

// adopt connects to the charon in dir that was started with conf; an error if
// there is none. One with another conf is ended: it is another linkseal's, with
// other plugins or of the other dataplane.
func adopt(dir, conf string) (*process, error) {
	p, err := connect(dir)
	if err != nil {
		return nil, err
	}
	have, err := os.ReadFile(filepath.Join(dir, "strongswan.conf"))
	if err == nil && string(have) == conf {
		return p, nil
	}
	p.end()
	return nil, errors.New("charon runs with another strongswan.conf")
}

// fit says what charon lacks for us; nil: nothing.
func (p *process) fit(ctx context.Context, userspace bool) error {
	c := p.Until(ctx)
	version, err := c.Version()
	if err != nil {
		return err
	}
	have, err := c.Plugins()
	if err != nil {
		return err
	}
	return lacks(version, have, userspace)
}

// oldest is the first version that has all that connections ask for.
var oldest = [2]int{5, 9}

// needed are the plugins without which no tunnel comes up, whatever its suites.
// kdf is a plugin since 5.9.6 only.
var needed = []string{"nonce", "openssl", "x509", "socket-default", "kernel-netlink", "vici"}

// errLacks is of a charon that cannot serve us.
var errLacks = errors.New("this machine's charon does not do")

// lacks holds a charon's version and plugins against what is needed.
func lacks(version string, have []string, userspace bool) error {
	var v [2]int
	if n, _ := fmt.Sscanf(version, "%d.%d", &v[0], &v[1]); n != 2 || slices.Compare(v[:], oldest[:]) < 0 {
		return fmt.Errorf("%w: it is strongSwan %q; accepted: %d.%d or newer", errLacks, version, oldest[0], oldest[1])
	}
	for _, plugin := range append(slices.Clone(needed), "kernel-libipsec") {
		if plugin == "kernel-libipsec" && !userspace || slices.Contains(have, plugin) {
			continue
		}
		return fmt.Errorf("%w: strongSwan %s has no plugin %s; install libstrongswan-standard-plugins and libcharon-extra-plugins (Debian), or strongSwan with it", errLacks, version, plugin)
	}
	return nil
}

// connect connects to the charon in dir.
func connect(dir string) (*process, error) {
	if err := private(dir); err != nil {
		return nil, err
	}
	c, err := strongswan.Dial(filepath.Join(dir, "vici"))
	if err != nil {
		return nil, err
	}
	p := &process{Client: c, pid: c.PID()}
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("charon's process %d: %w", p.pid, err)
	}
	p.pidfd = os.NewFile(uintptr(fd), "pidfd")
	return p, nil
}

// start runs charon in ns with conf and waits until it listens. It
// lives on without us.
func start(program, dir, conf string, ns *netns.NS) (*process, error) {
	fail := func(err error) (*process, error) { return nil, fmt.Errorf("start %s: %w", program, err) }
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(err)
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "strongswan.conf")
	if err := durable.Write(path, []byte(conf)); err != nil {
		return fail(err)
	}
	if err := os.Remove(filepath.Join(dir, "vici")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fail(err)
	}
	// A file, not a pipe: who reads it may end before charon does. It has what
	// charon says before it has a log.
	said, err := os.OpenFile(filepath.Join(dir, "charon.err"), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return fail(err)
	}
	defer said.Close()
	cmd := exec.Command(program)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "STRONGSWAN_CONF=" + path}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := ns.Do(cmd.Start); err != nil {
		return fail(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.Now().Add(startPatience); ; {
		p, err := connect(dir)
		if err == nil {
			return p, nil
		}
		select {
		case err := <-ended:
			return fail(fmt.Errorf("it ended: %v: %s", err, tail(said)))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			return fail(fmt.Errorf("it does not listen: %w: %s", err, tail(said)))
		}
	}
}

// tail is the end of what charon said.
func tail(f *os.File) string {
	const most = 1024
	i, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	b := make([]byte, min(i.Size(), most))
	n, err := f.ReadAt(b, max(0, i.Size()-most))
	if err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	return strings.ReplaceAll(strings.TrimSpace(string(b[:n])), "\n", "; ")
}

// end ends charon, and all that it has established: it tells its peers.
func (p *process) end() {
	defer p.close()
	fd := int(p.pidfd.Fd())
	if unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0) == nil && !gone(fd, endPatience) {
		p.kill()
		gone(fd, endPatience)
	}
}

// killHung ends a charon that listens and does not answer, if that is what pid is;
// else the error is why not.
func killHung(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if exe, is := charon(pid); !is {
		return fmt.Errorf("it is %q, and is left alone: end it by hand", exe)
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return err
	}
	gone(fd, endPatience)
	return nil
}

// charon tells what program a process runs, "" if that is not to be known, and whether
// it is a charon, be it one that an upgrade has replaced.
func charon(pid int) (exe string, is bool) {
	exe, _ = os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return exe, slices.Contains(programs, strings.TrimSuffix(exe, " (deleted)"))
}

// kill ends a charon that does not answer.
func (p *process) kill() { unix.PidfdSendSignal(int(p.pidfd.Fd()), unix.SIGKILL, nil, 0) }

// close lets go of it.
func (p *process) close() {
	p.Client.Close()
	p.pidfd.Close()
}

// gone waits for the process to end.
func gone(pidfd int, patience time.Duration) bool {
	for deadline := time.Now().Add(patience); ; {
		left := time.Until(deadline)
		if left < 0 {
			return false
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if n > 0 || err != nil && err != unix.EINTR {
			return true
		}
	}
}
