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
	"slices"
	"strings"
	"time"

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
	Keys      string // the authorized keys, without which SSH is off
	State     string // the directory of the image's state, on /var
	// Systemctl is systemctl's output; nil: that of the machine's.
	Systemctl func(ctx context.Context, args ...string) (string, error)
}

// Self is the unit that checks: it cannot judge itself.
const Self = "linkseal-health.service"

// Look looks at the machine.
func (m *Machine) Look(ctx context.Context) (f Facts) {
	f.Root = m.verified()
	f.Var = m.writable()
	m.units(ctx, &f)
	m.daemon(ctx, &f)
	keys, err := os.Stat(m.Keys)
	f.SSH = err == nil && keys.Size() > 0
	return f
}

func (m *Machine) verified() error {
	d, err := slot.Find(m.Sys)
	if err != nil {
		return err
	}
	return d.Verify(m.Root, m.Boot.Verity)
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

// units asks systemd which units failed, or are started again and again because they
// do, and which of those that are watched are active.
func (m *Machine) units(ctx context.Context, f *Facts) {
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	ask := m.Systemctl
	if ask == nil {
		ask = systemctl
	}
	first := func(text string, of func(words []string)) {
		for line := range strings.Lines(text) {
			if words := strings.Fields(line); len(words) > 0 {
				of(words)
			}
		}
	}
	failed, err := ask(ctx, "list-units", "--state=failed,auto-restart", "--plain", "--no-legend", "--no-pager")
	if err == nil {
		first(failed, func(words []string) {
			if words[0] != Self {
				f.Failed = append(f.Failed, words[0])
			}
		})
		var active string
		active, err = ask(ctx, append([]string{"list-units", "--state=active", "--plain", "--no-legend", "--no-pager"}, watched...)...)
		first(active, func(words []string) { f.Active = append(f.Active, words[0]) })
	}
	f.Units = err
}

func systemctl(ctx context.Context, args ...string) (string, error) {
	var said bytes.Buffer
	c := exec.CommandContext(ctx, "systemctl", args...)
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %.200s", err, bytes.TrimSpace(said.Bytes()))
	}
	return string(out), nil
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
		if p.Must {
			f.MustPorts = append(f.MustPorts, p.Name)
		}
	}
	for _, t := range c.Tunnels {
		f.Tunnels = append(f.Tunnels, t.Name)
		if t.Must {
			f.MustTunnels = append(f.MustTunnels, t.Name)
		}
	}
	s, err := status.NewClient(c.Socket).Status(ctx)
	if err != nil {
		f.Daemon = err
		return
	}
	f.Problems = map[string]string{}
	enforced := func(name string, e *status.Enforcement) {
		if e != nil && e.Guard && e.Ingress != "none" && e.Egress != "none" {
			f.Enforced = append(f.Enforced, name)
		}
	}
	for _, p := range s.Ports {
		enforced("port "+p.Name, p.Enforcement)
		if p.State == status.Secured {
			f.SecuredPorts = append(f.SecuredPorts, p.Name)
		}
		f.Problems["port "+p.Name] = why(p.State, p.Problem, p.UnsecuredReason)
	}
	for _, t := range s.Tunnels {
		enforced("tunnel "+t.Name, t.Enforcement)
		if t.State == status.Secured {
			f.SecuredTunnels = append(f.SecuredTunnels, t.Name)
		}
		f.Problems["tunnel "+t.Name] = why(t.State, t.Problem)
	}
}

// why is a state and what is said of it, each once: one that is down for good is
// unsecured for the same reason.
func why(state string, more ...string) string {
	all := []string{state}
	for _, m := range more {
		if m != "" && !slices.Contains(all, m) {
			all = append(all, m)
		}
	}
	return strings.Join(all, "; ")
}

// Before is what is now, for the record of an install; version, from and slot are
// yet to be filled in. An error says why that is not known: an update that is held
// against nothing is found good whatever it loses. Or it says which of linkseal's own
// units have failed: they would fail in the update too, and end it.
func (m *Machine) Before(ctx context.Context) (Record, error) {
	var f Facts
	m.units(ctx, &f)
	m.daemon(ctx, &f)
	switch {
	case f.Units != nil:
		return Record{}, fmt.Errorf("systemd does not tell which units run, which an update is held against: %w", f.Units)
	case len(ours(f.Failed)) > 0:
		return Record{}, fmt.Errorf("of linkseal's own units %s failed already, and an update is good only where none has; mend that first: systemctl --failed lists them, journalctl -u UNIT says why. Then systemctl restart UNIT, or reset-failed where the cause is gone", strings.Join(ours(f.Failed), ", "))
	case f.Config != nil:
		return Record{}, fmt.Errorf("the configuration cannot be read, so what is secured, which an update is held against, is not known; mend it first: %w", f.Config)
	case f.Daemon != nil:
		return Record{}, fmt.Errorf("the daemon does not answer, so what is secured, which an update is held against, is not known; start it (systemctl start linkseal), or see journalctl -u linkseal: %w", f.Daemon)
	}
	return Record{
		Time: time.Now().UTC(), Configured: f.Configured, Active: f.Active, Failed: f.Failed, Enforced: f.Enforced,
		Ports: append([]string{}, f.SecuredPorts...), Tunnels: append([]string{}, f.SecuredTunnels...),
	}, nil
}
