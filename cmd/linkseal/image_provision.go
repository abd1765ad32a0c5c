package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/images/firewall"
	"github.com/linkseal/linkseal/images/provision"
	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/provision/medium"
	"github.com/linkseal/linkseal/images/provision/source"
	"github.com/linkseal/linkseal/images/provision/store"
	"github.com/linkseal/linkseal/images/provision/trial"
)

// deviceTime is how long provisioning waits for the devices of a configuration.
const deviceTime = 10 * time.Second

func imageProvisionVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "provision [DEVICE]",
		Short: "Take configuration and first keys from a medium (called by units)",
		Long: `Take configuration and first keys from the media that are there, or from DEVICE:
one labelled LINKSEAL with linkseal.yaml, keys/*.yaml, authorized_keys and
network/*.network; one of cloud-init's NoCloud, labelled CIDATA; in Azure the DVD
with custom data. What they bring is checked as linkseal check does, and installed
as a whole or refused as a whole. An appliance that is provisioned takes nothing
else. linkseal-provision.service calls it. Exit status 1: something was refused.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(fmt.Errorf("provision takes one device, got %d arguments", len(args)))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			unlock, err := lockProvisioning()
			if err != nil {
				return err
			}
			defer unlock()
			return provisionFrom(c.Context(), args, c.ErrOrStderr())
		},
	}
}

// lockProvisioning keeps two media from being taken at once.
func lockProvisioning() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(provision.ReportFile), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(filepath.Dir(provision.ReportFile), "provision.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, unix.Flock(int(f.Fd()), unix.LOCK_EX)
}

func provisionFrom(ctx context.Context, devices []string, log io.Writer) error {
	s := &store.Store{Installed: takeHostname}
	err := finish(s, log)
	if len(devices) == 0 {
		before, unread := s.Provisioned()
		attached, unsettled := source.Attached("", unread == nil && !before, func() error { return source.Settle(ctx) })
		devices, err = attached, errors.Join(err, unread, unsettled)
	}
	for _, device := range devices {
		o := provisionFromDevice(ctx, s, device)
		o.Write(log)
		err = errors.Join(err, provision.AddReport(provision.ReportFile, o))
		switch o.Result {
		case provision.Applied:
			err = errors.Join(err, provision.Activate(systemctl))
		case provision.Refused, provision.Unfinished:
			err = errors.Join(err, fmt.Errorf("%s: %s", o.Source, o.Result))
		}
	}
	return err
}

// finish installs what was being installed when the machine stopped. Until it is done
// the daemon does not start.
func finish(s *store.Store, log io.Writer) error {
	was, unread := s.Pending()
	done, err := s.Finish()
	if !done && err == nil {
		return takeHostname()
	}
	o := provision.Outcome{Source: was.Source, Result: provision.Applied, At: time.Now().UTC()}
	if !done {
		o = provision.Cut(cmp.Or(was.Source, "what was being installed"), o.At, err)
	}
	o.Write(log)
	if done {
		unread = errors.Join(unread, provision.Activate(systemctl))
	}
	return errors.Join(err, unread, provision.AddReport(provision.ReportFile, o))
}

func provisionFromDevice(ctx context.Context, s *store.Store, device string) provision.Outcome {
	from := provision.Offer{Source: device}
	m, err := source.Open(device)
	if err == nil {
		defer m.Close()
		from.Source, from.Medium = source.Describe(device, m.FS()), medium.Digest(m.FS())
	}
	from.Read = func() (*bundle.Bundle, error) {
		if err != nil {
			return nil, err
		}
		return source.Read(m.FS(), source.Azure(""))
	}
	return provision.Take(ctx, s, checkStaged, from, time.Now())
}

// checkStaged checks a configuration as it will be.
func checkStaged(ctx context.Context, dir, text string) ([]string, error) {
	trial.Await(ctx, trial.Devices(bundle.Config, text), deviceTime)
	// What is wrong with it is told by the check.
	cfg, unparsed := config.Parse(bundle.Config, text)
	restore := firewall.Widen(firewall.OwnedBy(cfg).Ports)
	wrong, err := trial.Check(ctx, "/proc/self/exe", dir, bundle.Linkseal, filepath.Base(bundle.Config))
	if unparsed == nil {
		for _, p := range unwritable(cfg) {
			wrong = append(wrong, p.Error())
		}
	}
	if len(wrong) > 0 || err != nil {
		restore()
	}
	return wrong, err
}

// takeHostname gives the machine the name that it was provisioned with.
func takeHostname() error {
	name, err := os.ReadFile(bundle.Hostname)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = unix.Sethostname([]byte(strings.TrimSpace(string(name))))
	}
	return err
}

func systemctl(args ...string) error {
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
