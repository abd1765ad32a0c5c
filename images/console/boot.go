package console

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/linkseal/linkseal/images/slot"
	"github.com/linkseal/linkseal/images/update"
)

// Boot is what runs.
type Boot struct {
	Slot, Trial, SecureBoot string
	Fault                   string // what could not be found out
}

// To ask mounts the EFI system partition, which writes to it: while an update is under
// way that is done once in soon, else when one was installed or checked, and once in late.
const soon, late = time.Minute, 6 * time.Hour

// Boots asks the machine what runs, as often as it may change.
type Boots struct {
	Machine *update.Machine

	mu   sync.Mutex
	at   time.Time
	seen string // what installs and checks had left by then
	last Boot
}

// Now is what runs.
func (b *Boots) Now() Boot {
	b.mu.Lock()
	defer b.mu.Unlock()
	left, good := b.Machine.Left(), late
	if left != b.seen || b.last.Trial != "" || b.last.Fault != "" {
		good = soon
	}
	if !b.at.IsZero() && time.Since(b.at) < good {
		return b.last
	}
	b.at, b.seen = time.Now(), left
	o, err := b.Machine.Overview()
	switch {
	case err == nil:
		b.last = boot(o)
	case errors.Is(err, slot.ErrNoImage):
		b.last = Boot{}
	default:
		b.last = Boot{Fault: err.Error()}
	}
	if b.last.SecureBoot == "" {
		if b.last.SecureBoot, err = slot.SecureBoot(b.Machine.Sys); err != nil && b.last.Fault == "" {
			b.last.Fault = err.Error()
		}
	}
	return b.last
}

func boot(o update.Overview) Boot {
	b := Boot{Slot: o.Running.Slot, SecureBoot: o.SecureBoot, Fault: o.Running.Problem}
	if o.Running.State == update.Trial && o.Running.TriesLeft != nil {
		b.Trial = fmt.Sprintf("version %s is on trial: unless it proves itself, the one before is booted again, after %d more starts at the most", o.Running.Version, *o.Running.TriesLeft)
		return b
	}
	if o.Last == nil {
		return b
	}
	switch o.Last.Result {
	case update.FellBack:
		b.Trial = fmt.Sprintf("to version %s FAILED, and this one was booted again: %s", o.Last.Version, strings.Join(o.Last.Reasons, "; "))
	case update.Waiting:
		b.Trial = fmt.Sprintf("to version %s waits for a reboot", o.Last.Version)
	case update.Installing:
		b.Trial = fmt.Sprintf("to version %s is being written", o.Last.Version)
	case update.Interrupted:
		b.Trial = fmt.Sprintf("to version %s did not end; install it again", o.Last.Version)
	}
	return b
}
