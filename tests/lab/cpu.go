package lab

import (
	"fmt"
	"time"

	"github.com/linkseal/linkseal/tests/cputime"
)

// CPU is the processor time that the daemon has used.
func (a *Appliance) CPU() (time.Duration, error) {
	d, err := cputime.Of(a.Pid())
	if err != nil {
		return 0, fmt.Errorf("processor time of %s: %w", a.Name, err)
	}
	return d, nil
}
