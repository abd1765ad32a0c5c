package update

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/images/health"
	"github.com/linkseal/linkseal/images/slot"
)

// Health checks whether what runs is healthy, with the configuration in the file
// config. What it finds is kept while the version is on trial.
func (m *Machine) Health(ctx context.Context, config string, say func(string, ...any)) error {
	run, _, err := m.Running()
	if err != nil {
		// The look at the root says it too, and what else is wrong.
		say("%v", err)
		run.Version, _ = m.version()
	}
	before, err := health.LoadRecord(m.State)
	switch {
	case err != nil:
		say("what was secured before is not known: %v", err)
		before = nil
	case before != nil && before.Version != run.Version:
		before = nil // of an update that is not this one
	}
	if before == nil && m.onTrial(run) {
		say("what was before version %s, which is on trial, is not known: all that is secure: must has to be secured", run.Version)
		before = &health.Record{Lost: true}
	}
	look := health.Machine{Sys: m.Sys, Root: m.Root, Boot: run.Boot, Config: config, Keys: m.Keys, State: m.State}
	reasons := health.Wait(ctx, before, look.Look, func(reasons []string) {
		if len(reasons) > 0 {
			say("version %s: waiting: %s", run.Version, strings.Join(reasons, "; "))
			return
		}
		say("version %s: healthy, if it stays so", run.Version)
	})
	if o, err := m.Overview(); err != nil || o.Running.State != Good {
		m.keep(run.Version, reasons, say)
	}
	if len(reasons) > 0 {
		return fmt.Errorf("version %s is not healthy: %s", run.Version, strings.Join(reasons, "; "))
	}
	say("version %s is healthy", run.Version)
	return nil
}

// onTrial tells whether what runs is on trial; also where that is not known.
func (m *Machine) onTrial(run Running) bool {
	disk, err := slot.Find(m.Sys)
	if err != nil {
		return true
	}
	esp, err := slot.OpenDirectory(m.ESP, disk.ESP)
	if err != nil {
		return true
	}
	defer esp.Close()
	ukis, _, err := slot.Contents(esp)
	return err != nil || !slices.ContainsFunc(ukis, func(u slot.UKI) bool { return u.Err == nil && u.Boot == run.Boot && !u.Trial })
}

func (m *Machine) keep(version string, reasons []string, say func(string, ...any)) {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	r := health.Result{Version: version, Boot: strings.TrimSpace(string(boot)), Time: time.Now().UTC(), Reasons: append([]string{}, reasons...)}
	if err := health.AddResult(m.State, r); err != nil {
		say("what was found cannot be kept: %v", err)
	}
}
