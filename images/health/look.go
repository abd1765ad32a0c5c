package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/images/part"
	"github.com/linkseal/linkseal/images/slot"
	"github.com/linkseal/linkseal/linux/durable"
)

// Machine is where to look.
type Machine struct {
	Sys, Root string // where sysfs and the root are
	Boot      part.Boot
	Config    string // the configuration file
	State     string // the directory of the image's state, on /var
}

// Self is the unit that checks: it cannot judge itself.
const Self = "linkseal-health.service"

// Look looks at the machine.
func (m *Machine) Look(ctx context.Context) (f Facts) {
	f.Root = m.verified()
	f.Var = m.writable()
	f.Failed, f.Units = failedUnits(ctx)
	m.daemon(ctx, &f)
	return f
}

// verified asks the kernel: the root is the mapped device, which is dm-verity's, of
// the hash tree that the command line names. That came with the signed UKI.
func (m *Machine) verified() error {
	d, err := slot.Find(m.Sys)
	if err != nil {
		return err
	}
	if want := "CRYPT-VERITY-" + strings.ReplaceAll(m.Boot.Verity, "-", ""); !strings.HasPrefix(d.Verified.UUID, want) {
		return fmt.Errorf("/dev/mapper/root is %s, and the kernel's command line names %s", d.Verified.UUID, want)
	}
	var st unix.Stat_t
	if err := unix.Stat(m.Root, &st); err != nil {
		return err
	}
	if st.Dev != d.Verified.Number {
		return fmt.Errorf("%s is not on /dev/mapper/root", m.Root)
	}
	return nil
}

// writable writes to the disk, as the daemon has to.
func (m *Machine) writable() error {
	if err := os.MkdirAll(m.State, 0o700); err != nil {
		return err
	}
	path := filepath.Join(m.State, "written")
	if err := durable.Write(path, []byte("image health writes this to see whether it can\n")); err != nil {
		return err
	}
	return os.Remove(path)
}

// failedUnits are linkseal's, and the packet filter that is there before it.
func failedUnits(ctx context.Context) (failed []string, err error) {
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	var said bytes.Buffer
	c := exec.CommandContext(ctx, "systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager", "linkseal*", "nftables.service")
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %.200s", err, bytes.TrimSpace(said.Bytes()))
	}
	for line := range strings.Lines(string(out)) {
		if words := strings.Fields(line); len(words) > 0 && words[0] != Self {
			failed = append(failed, words[0])
		}
	}
	return failed, nil
}

// daemon reads the configuration, and asks the daemon.
func (m *Machine) daemon(ctx context.Context, f *Facts) {
	if _, err := os.Stat(m.Config); errors.Is(err, fs.ErrNotExist) {
		return
	}
	f.Configured = true
	c, err := config.Load(m.Config)
	if c.Socket == "" { // not readable at all; of other errors the daemon tells
		f.Config = err
		return
	}
	for _, p := range c.Ports {
		f.Ports = append(f.Ports, p.Name)
	}
	for _, t := range c.Tunnels {
		f.Tunnels = append(f.Tunnels, t.Name)
	}
	s, err := status.NewClient(c.Socket).Status(ctx)
	if err != nil {
		f.Daemon = err
		return
	}
	f.Problems = map[string]string{}
	for _, p := range s.Ports {
		if p.State == status.Secured {
			f.SecuredPorts = append(f.SecuredPorts, p.Name)
		}
		f.Problems["port "+p.Name] = why(p.State, p.Problem, p.UnsecuredReason)
	}
	for _, t := range s.Tunnels {
		if t.State == status.Secured {
			f.SecuredTunnels = append(f.SecuredTunnels, t.Name)
		}
		f.Problems["tunnel "+t.Name] = why(t.State, t.Problem)
	}
}

func why(state string, more ...string) string {
	for _, m := range more {
		if m != "" {
			state += "; " + m
		}
	}
	return state
}

// Before is what is now, for the record of an install; version, from and slot are
// yet to be filled in.
func (m *Machine) Before(ctx context.Context) Record {
	var f Facts
	m.daemon(ctx, &f)
	return Record{Time: time.Now().UTC(), Configured: f.Configured, Ports: append([]string{}, f.SecuredPorts...), Tunnels: append([]string{}, f.SecuredTunnels...)}
}
