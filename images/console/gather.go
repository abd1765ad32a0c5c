package console

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/images/provision"
	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/provision/store"
)

// Machine is what the console is told of besides what it reads itself.
type Machine struct {
	Version string
	// Status asks the daemon.
	Status func(context.Context) (status.Status, error)
	// Wrong says what is wrong with the configuration; it is asked while the
	// daemon does not answer.
	Wrong func() []string
	// Boot says what runs.
	Boot func() Boot
	// Root is put before every path; empty on the appliance.
	Root string

	last   *status.Status // the daemon's last
	lastAt time.Time
	away   time.Time // since when it does not answer; zero: it does
}

const (
	// answer is how long the daemon may take, and slow how long one that is busy
	// and does not answer in time is shown as it was.
	answer = 3 * time.Second
	slow   = 30 * time.Second
	// starting is how long one that is not there is taken to be starting.
	starting = 15 * time.Second
)

// Gather looks at everything. What cannot be found out is a fault that is shown,
// and stops nothing.
func (m *Machine) Gather(ctx context.Context, now time.Time) *State {
	s := &State{Version: m.Version, Now: now}
	fault := func(what string, err error) {
		if err != nil {
			s.Faults = append(s.Faults, fmt.Sprintf("%s: %v", what, err))
		}
	}
	var err error
	s.Host, err = os.Hostname()
	fault("the host's name", err)
	s.Image, err = image(filepath.Join(m.Root, "/etc/os-release"))
	fault("the image's version", err)
	boot := m.Boot()
	s.Slot, s.Trial, s.SecureBoot = boot.Slot, boot.Trial, boot.SecureBoot
	if boot.Fault != "" {
		fault("what boots", errors.New(boot.Fault))
	}
	s.Interfaces, err = interfaces(m.Root)
	fault("network interfaces", err)
	kept := &store.Store{Root: m.Root}
	s.Record, err = kept.Record()
	fault("what was provisioned", err)
	s.Outcomes, err = provision.Report(filepath.Join(m.Root, provision.ReportFile))
	fault("what became of media", err)
	s.Config, err = kept.Has(bundle.Config)
	fault(bundle.Config, err)
	s.SSH, err = kept.Has(bundle.AuthorizedKeys)
	fault(bundle.AuthorizedKeys, err)
	if !s.Config {
		return s
	}
	m.ask(ctx, s)
	return s
}

// ask asks the daemon.
func (m *Machine) ask(ctx context.Context, s *State) {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	st, err := m.Status(ctx)
	if err == nil {
		s.Status, m.last, m.lastAt, m.away = &st, &st, s.Now, time.Time{}
		return
	}
	if !errors.Is(err, status.ErrNoDaemon) && m.last != nil && s.Now.Sub(m.lastAt) < slow {
		s.Status = m.last
		return
	}
	if m.away.IsZero() {
		m.away = s.Now
	}
	s.NoStatus = err.Error()
	if s.Now.Sub(m.away) < starting {
		s.Starting = true
		return
	}
	s.Wrong = m.Wrong()
}

// image is the version in an os-release; empty if it has none.
func image(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "IMAGE_VERSION="); ok {
			return strings.Trim(v, `"'`), nil
		}
	}
	return "", err
}

// interfaces are all but the loopback, in the order of their names.
func interfaces(root string) (all []Interface, err error) {
	list, err := net.Interfaces()
	for _, i := range list {
		if i.Flags&net.FlagLoopback != 0 {
			continue
		}
		n := Interface{Name: i.Name, MAC: i.HardwareAddr.String(), Up: i.Flags&net.FlagUp != 0}
		carrier, readErr := os.ReadFile(filepath.Join(root, "/sys/class/net", i.Name, "carrier"))
		n.Carrier = readErr == nil && strings.TrimSpace(string(carrier)) == "1" // EINVAL of one that is down
		addrs, addrErr := i.Addrs()
		if addrErr != nil {
			continue // it has gone meanwhile
		}
		for _, a := range addrs {
			if p, ok := a.(*net.IPNet); ok && !p.IP.IsLinkLocalUnicast() {
				n.Addresses = append(n.Addresses, p.String())
			}
		}
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b Interface) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}
