package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/linkseal/linkseal/tests/cputime"
)

// cpuTime is processor time in seconds since some start.
type cpuTime struct {
	machine float64 // all that ran, interrupts included
	daemons float64 // the contender's own processes
}

func readCPU(daemons []int) (t cpuTime, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t, err
	}
	if t.machine, err = machineTime(text); err != nil {
		return t, err
	}
	for _, pid := range daemons {
		used, err := cputime.Of(pid)
		if err != nil {
			return t, fmt.Errorf("processor time of a daemon: %w", err)
		}
		t.daemons += used.Seconds()
	}
	return t, nil
}

// machineTime is what /proc/stat counts as busy: user, nice, system, irq and
// softirq; not idle, iowait and what the hypervisor took (proc_stat(5)).
func machineTime(stat []byte) (float64, error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	f := strings.Fields(string(line))
	if len(f) < 8 || f[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat: line %q is not that of all processors", line)
	}
	return ticks(f, 1, 2, 3, 6, 7)
}

func ticks(fields []string, at ...int) (seconds float64, err error) {
	for _, i := range at {
		n, err := strconv.ParseUint(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("processor time %q: %w", fields[i], err)
		}
		seconds += float64(n) * cputime.Tick.Seconds()
	}
	return seconds, nil
}
