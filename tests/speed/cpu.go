package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// userHZ is the unit of times in /proc, per second: the same on every Linux
// that Go runs on.
const userHZ = 100

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
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return t, fmt.Errorf("process time of a daemon: %w", err)
		}
		s, err := processTime(text)
		if err != nil {
			return t, err
		}
		t.daemons += s
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

// processTime is utime and stime of /proc/PID/stat (proc_pid_stat(5)). The name
// before them may have blanks and parentheses.
func processTime(stat []byte) (float64, error) {
	i := bytes.LastIndexByte(stat, ')')
	f := strings.Fields(string(stat[i+1:]))
	if i < 0 || len(f) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat: %q has no times", stat)
	}
	return ticks(f, 11, 12)
}

func ticks(fields []string, at ...int) (seconds float64, err error) {
	for _, i := range at {
		n, err := strconv.ParseUint(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("processor time %q: %w", fields[i], err)
		}
		seconds += float64(n) / userHZ
	}
	return seconds, nil
}
