// Package cputime tells how much time of the processors a process has used.
package cputime

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Tick is the unit of times in /proc, USER_HZ: the same on every Linux that Go runs
// on (time(7)).
const Tick = time.Second / 100

// Of is what process pid has used since it began, in user mode and in the kernel.
func Of(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parse(stat)
}

// parse adds utime and stime of /proc/PID/stat, the 12th and 13th field behind the
// name, which may have blanks and parentheses (proc_pid_stat(5)).
func parse(stat []byte) (sum time.Duration, err error) {
	i := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[i+1:])
	if i < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat: %q has no times", stat)
	}
	for _, f := range fields[11:13] {
		n, err := strconv.ParseUint(string(f), 10, 63)
		if err != nil {
			return 0, fmt.Errorf("/proc/PID/stat: time %q: %w", f, err)
		}
		sum += time.Duration(n) * Tick
	}
	return sum, nil
}
