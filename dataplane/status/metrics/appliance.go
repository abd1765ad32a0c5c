package metrics

import (
	"runtime"

	"github.com/linkseal/linkseal/dataplane/status"
)

var (
	buildInfo     = gauge("build_info", "The linkseal that runs; always 1.", "version", "goversion")
	applianceInfo = gauge("appliance_info", "The appliance's name in its configuration; always 1.", "name")
	sealFailed    = gauge("seal_failed", "1 while the last good keys cannot be sealed: a restart without their source would have none.")
	clockHeld     = gauge("clock_held", "1 while the clock is not trusted: it is earlier than when the keys were sealed, or much later and not set, and keys are chosen as of then.")
	clockHeldAt   = gauge("clock_held_timestamp_seconds", "The time by which keys are chosen while the clock is not trusted.")
	reloadErrors  = gauge("reload_errors", "What was wrong with the configuration at the last reload; 0: it was taken.")
	memoryLocked  = gauge("memory_locked", "1 if key octets are in pages that are not swapped out or dumped.")
	memoryErased  = gauge("memory_erased", "1 if traces of keys are erased from stacks, registers and garbage.")
)

func (w scrape) appliance(s *status.Status) {
	w.put(buildInfo, 1, s.Version, runtime.Version())
	w.put(applianceInfo, 1, s.Name)
	w.flag(sealFailed, s.SealError != "")
	w.flag(clockHeld, s.ClockHeld != nil)
	w.at(clockHeldAt, s.ClockHeld)
	w.put(reloadErrors, float64(len(s.Reload)))
	if m := s.Memory; m != nil {
		w.flag(memoryLocked, m.Locked)
		w.flag(memoryErased, m.Erased)
	}
}
