package lab

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
)

// askEvery is how often Wait asks an appliance at first, and askLater after so
// many times: a status is not cheap on the emulated processors of a guest.
const (
	askEvery = 50 * time.Millisecond
	askLater = 250 * time.Millisecond
	often    = 10
)

// Wait asks the appliances until all fulfil the condition, and returns what
// they said then. It gives up with ctx, saying what they said last.
func Wait(ctx context.Context, what string, ok func(status.Port) bool, appliances ...*Appliance) ([]status.Port, error) {
	ports := make([]status.Port, len(appliances))
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for asked := 1; ; asked++ {
		if asked == often {
			tick.Reset(askLater)
		}
		good, last := 0, []string{}
		for i, a := range appliances {
			p, err := a.Status(ctx)
			switch {
			case err != nil:
				last = append(last, fmt.Sprintf("%s: %v", a.Name, err))
			case ok(p):
				ports[i] = p
				good++
			default:
				last = append(last, fmt.Sprintf("%s: %s %s", a.Name, p.State, p.UnsecuredReason))
			}
		}
		if good == len(appliances) {
			return ports, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %s: %w; %s", what, context.Cause(ctx), strings.Join(last, "; "))
		}
	}
}

// poll waits until ok, for what no appliance tells.
func poll(ctx context.Context, what string, ok func() bool) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
	}
	return nil
}
